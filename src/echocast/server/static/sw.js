// Keeps the page, the basemap and the newest loop, so that the map opens without a network and tells its age.
const STORE = "echocast-1";
const ROOT = new URL(self.registration.scope).pathname.replace(/\/$/, "");
const MOST_PICTURES = 90;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

// The page names what it has loaded before this worker was there, and the pictures of its loop.
self.addEventListener("message", (event) => {
  if (Array.isArray(event.data?.keep)) event.waitUntil(keep(event.data.keep, Boolean(event.data.isWhole)));
});

async function keep(urls, isWhole) {
  const store = await caches.open(STORE);
  for (const url of urls) {
    const target = new URL(url, self.location.origin);
    if (target.origin !== self.location.origin || (await store.match(target.href))) continue;
    try {
      const answer = await fetch(target.href);
      if (answer.ok) await store.put(target.href, answer);
    } catch {
      return;
    }
  }
  if (isWhole) await forget(store, new Set(urls.map((url) => new URL(url, self.location.origin).href)));
}

// What neither the page nor its newest loop needs any more.
async function forget(store, wanted) {
  for (const request of await store.keys()) {
    const path = new URL(request.url).pathname.slice(ROOT.length);
    if (/^\/(v1\/overview|static)\//.test(path) && !wanted.has(request.url)) await store.delete(request);
  }
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  const path = url.pathname.slice(ROOT.length);
  if (/^\/(static|v1\/overview)\//.test(path)) event.respondWith(keptFirst(request));
  else if (path === "/" || /^\/(v1\/basemap\.json|v1\/index\.json|v1\/legend\/)/.test(path)) event.respondWith(networkFirst(request, url));
});

async function keptFirst(request) {
  const store = await caches.open(STORE);
  const kept = await store.match(request.url);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok && (await store.keys()).length < MOST_PICTURES * 2) await store.put(request.url, answer.clone());
  return answer;
}

async function networkFirst(request, url) {
  const store = await caches.open(STORE);
  const name = url.pathname.includes("/v1/legend/") ? url.href : url.origin + url.pathname;
  try {
    const answer = await fetch(request);
    if (answer.ok) await store.put(name, answer.clone());
    return answer;
  } catch (bad) {
    const kept = await store.match(name);
    if (!kept) throw bad;
    const headers = new Headers(kept.headers);
    headers.set("X-Kept", "1");
    return new Response(await kept.blob(), { status: 200, headers });
  }
}
