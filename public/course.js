// The course of a batch: times in the zone of whoever reads, and a slider that moves a point in time.
// The page is whole without: all of it stands in its table.

const two = (number) => String(number).padStart(2, "0");

/** As long as the server's text, so that nothing moves. */
const local = (at) =>
  `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;

/** `UTC+01:00`; the zone at that time: it may differ in summer. */
function zone(at) {
  const minutes = -at.getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

for (const time of document.querySelectorAll(".course time")) {
  const at = new Date(time.dateTime);
  time.textContent = local(at);
  time.title = zone(at);
}
const first = document.querySelector(".course tbody time");
if (first) document.querySelector(".course-zone").textContent = `(${zone(new Date(first.dateTime))})`;

const slider = document.querySelector(".course-slider");
const rows = [...document.querySelectorAll(".course tbody tr")];
if (slider && rows.length > 0) {
  const moment = document.querySelector(".course-moment");
  const [time, said] = document.querySelector(".course-stood output").children;
  const show = () => {
    const place = Number(slider.value);
    const row = rows.findLast((one) => Number(one.dataset.place) <= place) ?? rows[0];
    const at = row.querySelector("time");
    [time.dateTime, time.textContent, time.title] = [at.dateTime, at.textContent, at.title];
    // What was asked between the step before and this one, whichever row stands last.
    const step = Number(slider.step);
    const near = rows.filter((one) => one.dataset.act && Number(one.dataset.place) > place - step && Number(one.dataset.place) <= place);
    said.textContent = [...near.map((one) => one.dataset.act), row.dataset.said].join("; ");
    slider.setAttribute("aria-valuetext", `${at.textContent}: ${said.textContent}`);
    moment.setAttribute("d", `M${place} 0V200`);
    for (const one of rows) one.classList.toggle("course-here", one === row);
  };
  slider.addEventListener("input", show);
  document.querySelector(".chart-drawing").addEventListener("click", (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    slider.value = String(((event.clientX - box.left) / box.width) * Number(slider.max));
    show();
  });
  show();
}
