// Times as people read them: in the viewer's zone with its name, or in UTC; 24 h or not as the locale has it.
const made = new Map();

function format(zone, options) {
  const key = JSON.stringify([zone, options]);
  if (!made.has(key)) {
    const timeZone = zone === "utc" ? "UTC" : undefined;
    made.set(key, new Intl.DateTimeFormat(undefined, { ...options, timeZone }));
  }
  return made.get(key);
}

export const clock = (ms, zone) => format(zone, { hour: "2-digit", minute: "2-digit" }).format(ms);

export const day = (ms, zone) => format(zone, { weekday: "short", day: "numeric", month: "short" }).format(ms);

export const minuteOfHour = (ms, zone) =>
  Number(format(zone, { minute: "2-digit" }).formatToParts(ms).find((part) => part.type === "minute").value);

export const hourOfDay = (ms, zone) =>
  Number(format(zone, { hour: "2-digit", hourCycle: "h23" }).formatToParts(ms).find((part) => part.type === "hour").value);

// "CET", "GMT+2", "UTC": told beside every clock time, since daylight saving changes it.
export function zoneName(ms, zone) {
  const parts = format(zone, { hour: "2-digit", timeZoneName: "short" }).formatToParts(ms);
  return parts.find((part) => part.type === "timeZoneName")?.value ?? "";
}

export function age(ms) {
  const minutes = Math.round(ms / 60000);
  if (minutes < 1) return "less than a minute";
  if (minutes < 120) return `${minutes} min`;
  if (minutes < 2880) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.round(minutes / 1440)} days`;
}

export const isOtherDay = (ms, now, zone) => day(ms, zone) !== day(now, zone);

// "05:40 CET", with the day where it is not today's.
export function told(ms, now, zone) {
  const date = isOtherDay(ms, now, zone) ? `${day(ms, zone)} ` : "";
  return `${date}${clock(ms, zone)}`;
}
