// Small live charts: lines of the last minutes, drawn on a canvas once a sample.

import { h } from "./dom.js";

export const SAMPLES = 180;
const TICK = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });

// `series`: [{name, tone}]; `unit` is written behind the values.
export class Chart {
  constructor(title, series, { unit = "", digits = 0 } = {}) {
    this.series = series.map((one) => ({ ...one, values: [] }));
    this.unit = unit;
    this.format = new Intl.NumberFormat(undefined, { maximumFractionDigits: digits });
    this.canvas = h("canvas", { role: "img", "aria-label": title });
    this.now = h("span", { class: "now" });
    this.title = title;
    const key = series.length > 1 ? h("p", { class: "key" }, ...series.map(({ name, tone }) => h("span", { class: tone }, name))) : null;
    this.element = h("figure", { class: "chart" }, h("figcaption", {}, h("span", {}, title), this.now), this.canvas, key);
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.canvas);
  }

  add(values) {
    this.series.forEach((one, index) => {
      one.values.push(values[index] ?? null);
      if (one.values.length > SAMPLES) one.values.shift();
    });
    const told = values.map((value) => (value === null || value === undefined ? "–" : this.format.format(value)));
    this.now.textContent = `${told.join(" / ")} ${this.unit}`.trim();
    this.canvas.setAttribute("aria-label", `${this.title}: ${this.now.textContent}`);
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const ratio = devicePixelRatio;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || document.hidden) return;
    if (canvas.width !== width * ratio) [canvas.width, canvas.height] = [width * ratio, height * ratio];
    const paint = canvas.getContext("2d");
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    const most = niceAbove(Math.max(...this.series.flatMap(({ values }) => values)));
    this.#grid(paint, style, width, height, most);
    for (const { values, tone } of this.series) {
      paint.strokeStyle = style.getPropertyValue(`--${tone}`);
      paint.lineWidth = 1.75;
      paint.lineJoin = "round";
      paint.beginPath();
      values.forEach((value, index) => {
        if (value === null) return;
        const x = width - (values.length - 1 - index) * (width / (SAMPLES - 1));
        const y = height - 3 - (value / most) * (height - 18);
        if (index && values[index - 1] !== null) paint.lineTo(x, y);
        else paint.moveTo(x, y);
      });
      paint.stroke();
    }
  }

  #grid(paint, style, width, height, most) {
    paint.strokeStyle = style.getPropertyValue("--line");
    paint.fillStyle = style.getPropertyValue("--muted");
    paint.font = "11px system-ui, sans-serif";
    paint.lineWidth = 1;
    for (const part of [0, 0.5, 1]) {
      const y = Math.round(height - 3 - part * (height - 18)) + 0.5;
      paint.beginPath();
      paint.moveTo(0, y);
      paint.lineTo(width, y);
      paint.stroke();
      if (part) paint.fillText(TICK.format(most * part), 0, y - 3);
    }
  }
}

// The next of 1, 2, 5 times a power of ten.
export function niceAbove(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 1.0001) ?? 10 * power;
}
