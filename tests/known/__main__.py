import sys

from tests.known import main

sys.exit(main())
