// Numbers and moments as people read them. What is unknown is "?", what there is none of is "–"; neither is 0.
// Moments come as milliseconds since the epoch and are told in the zone of whoever looks.
globalThis.codemie = (() => {
  const whole = new Intl.NumberFormat("en-US");
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long", hourCycle: "h23" });
  const isDay = (ms, other) => new Date(ms).toDateString() === new Date(other).toDateString();
  const two = (number) => String(number).padStart(2, "0");
  const known = (tell) => (value) => (value === null || value === undefined || value === "" ? "–" : tell(value));

  const span = (ms) => {
    if (ms < 999.5) return `${Math.round(ms)} ms`;
    if (ms < 59950) return `${(ms / 1000).toFixed(1)} s`;
    const seconds = Math.round(ms / 1000);
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
    const minutes = Math.round(seconds / 60);
    if (minutes < 2880) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
    return `${Math.floor(minutes / 1440)} d ${Math.round((minutes % 1440) / 60)} h`;
  };
  const tokens = (number) => {
    for (const [unit, size] of [["B", 1e9], ["M", 1e6], ["k", 1e3]]) {
      if (number >= size * (unit === "k" ? 10 : 1)) return Number((number / size).toPrecision(3)) + unit;
    }
    return whole.format(number);
  };
  const money = (dollars) => {
    if (dollars >= 1) return "$" + dollars.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
    if (dollars > 0 && dollars < 0.00005) return "<$0.0001";
    return dollars ? `$${dollars.toFixed(4)}` : "$0";
  };
  const percent = (number) => {
    if (number > 99 && number < 100) return `${(Math.floor(number * 10) / 10).toFixed(1)}%`;
    return number > 0 && number < 1 ? `${number.toFixed(1)}%` : `${Math.round(number)}%`;
  };
  const bytes = (number) => {
    for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
      if (number >= size) return `${Number((number / size).toPrecision(3))} ${unit}`;
    }
    return `${number} B`;
  };
  const time = (ms) => (isDay(ms, Date.now()) ? clock.format(ms) : `${day.format(ms)} ${minute.format(ms)}`);
  const ago = (ms) => {
    const past = Date.now() - ms;
    if (past < 5000) return "now";
    if (past < 60000) return `${Math.floor(past / 1000)} s ago`;
    if (past < 3600000) return `${Math.floor(past / 60000)} min ago`;
    if (past < 172800000) return `${Math.floor(past / 3600000)} h ago`;
    return day.format(ms);
  };
  const until = (ms) => {
    const left = Math.max(0, Math.ceil((ms - Date.now()) / 1000));
    if (!left) return "now";
    if (left < 3600) return `${Math.floor(left / 60)}:${two(left % 60)}`;
    if (left < 86400) return `${Math.floor(left / 3600)}:${two(Math.floor((left % 3600) / 60))}:${two(left % 60)}`;
    return `${Math.floor(left / 86400)} d ${Math.floor((left % 86400) / 3600)} h`;
  };
  const kinds = {
    text: String,
    mono: String,
    count: (number) => whole.format(number),
    ms: span,
    tokens,
    money,
    percent,
    bytes,
    speed: (number) => `${number < 10 ? number.toFixed(1) : Math.round(number)} t/s`,
    time,
    ago,
    until,
    minute: (ms) => minute.format(ms),
    day: (ms) => day.format(ms),
    full: (ms) => full.format(ms),
  };
  const tell = (kind, value) => known(kinds[kind] ?? String)(value);
  return { tell, isDay, moving: new Set(["ago", "until"]) };
})();
