// Figures over time. Drawn in the width there is, in the theme's colours, with hours and days of whoever looks.
const ROOM = { top: 8, right: 8, bottom: 22, left: 48 };
const STEPS = [1, 2, 2.5, 5, 10];

const nice = (highest) => {
  const rough = highest / 4 || 1;
  const size = 10 ** Math.floor(Math.log10(rough));
  return (STEPS.find((step) => step * size >= rough) ?? 10) * size;
};

export default {
  props: {
    moments: Array, // ms since the epoch, one for each point
    series: Array, // {name, values, color}; null is unknown
    kind: { type: String, default: "area" }, // area, line, bars, stack
    format: { type: String, default: "count" },
    height: { type: Number, default: 180 },
    ceiling: { type: Number, default: 0 }, // the least the scale reaches up to
    bucket: { type: Number, default: 0 }, // ms that one point stands for
    label: String,
    bare: Boolean, // a small one, without axes
  },
  data: () => ({ width: 0, at: -1 }),
  mounted() {
    this.watcher = new ResizeObserver(([entry]) => (this.width = Math.floor(entry.contentRect.width)));
    this.watcher.observe(this.$el);
    this.width = Math.floor(this.$el.clientWidth);
  },
  unmounted() {
    this.watcher.disconnect();
  },
  computed: {
    room() {
      return this.bare ? { top: 2, right: 1, bottom: 1, left: 1 } : ROOM;
    },
    stacked() {
      return this.kind === "stack" || this.kind === "bars";
    },
    step() {
      return nice(this.highest);
    },
    highest() {
      const sums = this.moments.map((_, place) => {
        const values = this.series.map((one) => one.values[place] ?? 0);
        return this.stacked ? values.reduce((sum, value) => sum + value, 0) : Math.max(0, ...values);
      });
      return Math.max(this.ceiling, 0, ...sums);
    },
    top() {
      if (this.bare) return this.highest || 1;
      if (this.ceiling && this.highest <= this.ceiling) return this.ceiling;
      return Math.max(this.step, Math.ceil(this.highest / this.step) * this.step);
    },
    lines() {
      const found = [];
      for (let value = 0; value <= this.top + this.step / 1000; value += this.step) found.push(value);
      return found;
    },
    ticks() {
      const most = Math.max(2, Math.floor((this.width - this.room.left) / 84));
      const every = Math.max(1, Math.ceil(this.moments.length / most));
      return this.moments.map((_, place) => place).filter((place) => place % every === 0);
    },
    days() {
      return (this.bucket || (this.moments[1] ?? 0) - (this.moments[0] ?? 0)) >= 86400000;
    },
    drawn() {
      const below = this.moments.map(() => 0);
      return this.series.map((one) => {
        const points = one.values.map((value, place) => {
          if (value === null || value === undefined) return null;
          const from = this.stacked ? below[place] : 0;
          if (this.stacked) below[place] += value;
          return { x: this.x(place), y: this.y(from + value), from: this.y(from) };
        });
        return { ...one, points };
      });
    },
  },
  methods: {
    x(place) {
      const inner = this.width - this.room.left - this.room.right;
      const many = this.moments.length;
      if (this.kind === "bars") return this.room.left + (inner * (place + 0.5)) / Math.max(1, many);
      return this.room.left + (many < 2 ? inner / 2 : (inner * place) / (many - 1));
    },
    y(value) {
      return this.height - this.room.bottom - ((this.height - this.room.top - this.room.bottom) * value) / this.top;
    },
    // Each run of known points is a line of its own: what is unknown is a gap, never a zero.
    runs(points) {
      const found = [[]];
      for (const point of points) point ? found.at(-1).push(point) : found.push([]);
      return found.filter((run) => run.length);
    },
    line(run) {
      return run.map((point, place) => `${place ? "L" : "M"}${point.x.toFixed(1)} ${point.y.toFixed(1)}`).join("");
    },
    area(run) {
      const back = [...run].reverse().map((point) => `L${point.x.toFixed(1)} ${point.from.toFixed(1)}`);
      return `${this.line(run)}${back.join("")}Z`;
    },
    bar() {
      const inner = this.width - this.room.left - this.room.right;
      return Math.max(1, Math.min(26, (inner / Math.max(1, this.moments.length)) * 0.72));
    },
    value(number) {
      return codemie.tell(this.format, number);
    },
    when(place) {
      const ms = this.moments[place];
      if (this.days) return codemie.tell("day", ms);
      const first = place === 0 || !codemie.isDay(ms, this.moments[this.ticks[this.ticks.indexOf(place) - 1]] ?? ms);
      return first && !codemie.isDay(this.moments[0], this.moments.at(-1)) ? codemie.tell("day", ms) : codemie.tell("minute", ms);
    },
    anchor(place) {
      if (this.x(place) > this.width - 28) return "end";
      return this.kind !== "bars" && place === 0 ? "start" : "middle";
    },
    told(place) {
      const ms = this.moments[place];
      return this.days ? codemie.tell("day", ms) : `${codemie.tell("day", ms)} ${codemie.tell("minute", ms)}`;
    },
    look(event) {
      if (this.bare || !this.moments.length) return;
      const box = this.$el.getBoundingClientRect();
      const inner = this.width - this.room.left - this.room.right;
      const share = (event.clientX - box.left - this.room.left) / Math.max(1, inner);
      const many = this.moments.length;
      const place = this.kind === "bars" ? Math.floor(share * many) : Math.round(share * (many - 1));
      this.at = Math.max(0, Math.min(many - 1, place));
    },
    walk(event) {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      this.at = Math.max(0, Math.min(this.moments.length - 1, (this.at < 0 ? this.moments.length : this.at) + by));
    },
  },
  template: `
    <div :class="['cm-chart', bare && 'bare']" @mousemove="look" @mouseleave="at = -1" @focusout="at = -1" @keydown="walk"
         role="img" :aria-label="label" :tabindex="bare ? null : 0" :style="{ height: height + 'px' }">
      <svg v-if="width" :width="width" :height="height" :viewBox="'0 0 ' + width + ' ' + height" aria-hidden="true">
        <template v-if="!bare">
          <g v-for="value in lines" class="grid">
            <line :x1="room.left" :x2="width - room.right" :y1="y(value)" :y2="y(value)" />
            <text :x="room.left - 8" :y="y(value) + 4" text-anchor="end">{{ $options.short(format, value) }}</text>
          </g>
          <text v-for="place in ticks" class="tick" :x="x(place)" :y="height - 5"
                :text-anchor="anchor(place)">{{ when(place) }}</text>
        </template>
        <g v-for="one in drawn" :style="{ color: 'var(--' + one.color + ')' }">
          <template v-if="kind === 'bars'">
            <rect v-for="point in one.points.filter(Boolean)" class="bar" :x="point.x - bar() / 2" :width="bar()" rx="1.5"
                  :y="point.y" :height="Math.max(0, point.from - point.y)" />
          </template>
          <template v-else v-for="run in runs(one.points)">
            <path v-if="kind !== 'line'" :class="['area', stacked && 'full']" :d="area(run)" />
            <path v-if="!stacked" class="line" :d="line(run)" />
            <circle v-if="run.length === 1" class="dot" :cx="run[0].x" :cy="run[0].y" r="2" />
          </template>
        </g>
        <g v-if="at >= 0" class="mark">
          <line :x1="x(at)" :x2="x(at)" :y1="room.top" :y2="height - room.bottom" />
          <template v-if="kind !== 'bars'" v-for="one in drawn">
            <circle v-if="one.points[at]" :cx="one.points[at].x" :cy="one.points[at].y" r="3"
                    :style="{ fill: 'var(--' + one.color + ')' }" />
          </template>
        </g>
      </svg>
      <div v-if="at >= 0" class="cm-chart-tip" role="status" :style="x(at) > width / 2
          ? { right: width - x(at) + 10 + 'px' } : { left: x(at) + 10 + 'px' }">
        <b>{{ told(at) }}</b>
        <div v-for="one in series"><i :style="{ background: 'var(--' + one.color + ')' }"></i>{{ one.name
          }}<span>{{ value(one.values[at]) }}</span></div>
      </div>
    </div>`,
  short(format, value) {
    if (format === "count") return codemie.tell("tokens", value);
    if (format === "money" && value < 1 && value) return `$${Number(value.toPrecision(2))}`;
    if (format === "money" && value) return `$${Number(value.toPrecision(3))}`;
    if (format === "ms") return value < 1000 ? `${Math.round(value)} ms` : `${Number((value / 1000).toPrecision(3))} s`;
    return codemie.tell(format, value);
  },
};
