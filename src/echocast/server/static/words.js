// What the page says of its state: age first, and never "now" of what is old.
import { age, clock, told, zoneName } from "./times.js";

// The label of the picture that is shown.
export function label(frame, now, zone) {
  const name = zoneName(frame.time, zone);
  if (frame.observed) return { kind: "Observed", clock: told(frame.time, now, zone), detail: `${name}, ${age(now - frame.time)} ago` };
  const ahead = frame.time - now;
  const when = ahead >= 0 ? `in ${age(ahead)}` : `${age(-ahead)} ago`;
  const span = frame.layer.startsWith("amount") || frame.layer.startsWith("prob.amount")
    ? `the ${frame.lead} min from ${clock(frame.issued, zone)}, ` : "";
  return { kind: "Forecast for", clock: told(frame.time, now, zone), detail: `${name}, ${span}${when}, issued ${told(frame.issued, now, zone)}` };
}

// {state, text, banner, kind}: of the data and of the connection.
export function condition({ model, trouble, now, zone, latest, isOld, issue, lost, notice }) {
  const said = { state: "ok", text: "", banner: "", kind: "bad" };
  if (!model) {
    said.state = trouble ? "none" : "ok";
    said.text = trouble ? "" : "Loading …";
    said.banner = trouble ? troubleText(trouble, null) : "";
    return said;
  }
  if (!latest && !issue) {
    said.state = "none";
    said.text = "No forecast yet";
    said.banner = `There is no forecast yet. It appears here by itself as soon as there is one.`;
  } else {
    const old = now - (latest?.time ?? issue.time);
    const when = `${told(latest?.time ?? issue.time, now, zone)} ${zoneName(now, zone)}`;
    said.text = `Latest radar picture ${when}, ${age(old)} ago`;
    if (old > model.staleAfter) {
      said.state = "stale";
      said.banner = `Old data: the latest radar picture is ${age(old)} old (${when}). New ones do not arrive. What is shown is no forecast of now.`;
    } else if (issue && now > issue.published + 2 * model.step) {
      said.state = "late";
      said.text += ". The next one is late";
    }
  }
  if (trouble) said.banner = [troubleText(trouble, model), said.banner].filter(Boolean).join(" ");
  else if (!said.banner && lost) Object.assign(said, { banner: "The forecast of this link is no longer kept. The newest one is shown.", kind: "note", canClose: true });
  else if (!said.banner && notice) Object.assign(said, { banner: notice, kind: "note", canClose: true });
  else if (!said.banner && isOld) Object.assign(said, { banner: `This is the forecast issued ${told(issue.time, now, zone)}, not the newest one.`, kind: "note", canRenew: true });
  else if (!said.banner && issue?.degraded && said.state === "ok") said.text += ". Some of its input was missing, so it is less certain";
  return said;
}

function troubleText(trouble, model) {
  const kept = model ? " The last pictures stay; their age is told above." : "";
  if (trouble.kind === "offline") return `No connection to the server.${kept}`;
  if (trouble.kind === "pictures") return `Some pictures could not be loaded.${kept}`;
  return `The server has a problem (status ${trouble.status}).${kept} Trying again by itself.`;
}
