// The server writes exact times in UTC; the visitor's browser knows where they are.

const exact = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const clock = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "medium", hourCycle: "h23" });

export function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    if ("exact" in time.dataset) time.textContent = exact.format(moment);
    else time.title = exact.format(moment);
    if ("clock" in time.dataset) time.textContent = clock.format(moment);
  }
}
