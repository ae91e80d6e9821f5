// What the proxy says, line by line. Level and search are settled here: nothing is asked of the proxy for them.
const RANK = { DEBUG: 0, INFO: 1, WARN: 2, ERROR: 3 };
const LEVELS = [
  { name: "All", rank: 0 },
  { name: "Warnings", rank: 2 },
  { name: "Errors", rank: 3 },
];
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

export default {
  template: `
    <section class="cm-panel cm-flush cm-log">
      <div class="cm-log-tools">
        <div class="cm-choices" role="group" aria-label="Level">
          <button v-for="each in levels" type="button" :aria-pressed="String(rank === each.rank)" @click="choose(each.rank)">
            {{ each.name }}<span v-if="counts[each.rank]" class="cm-log-count">{{ counts[each.rank] }}</span>
          </button>
        </div>
        <input v-model="words" class="cm-log-search" type="search" placeholder="Search lines" aria-label="Search lines"
          spellcheck="false" @keydown.esc="words = ''">
        <span class="cm-note cm-grow" role="status">{{ told }}</span>
        <button type="button" class="cm-button small cm-log-as" @click="wrap = !wrap">
          {{ wrap ? "One line each" : "Wrap lines" }}</button>
        <button type="button" class="cm-button small" @click="held ? go() : hold()">{{ held ? "Resume" : "Pause" }}</button>
      </div>
      <div ref="lines" class="cm-log-lines" :class="{ 'cm-log-wrap': wrap }" role="log" aria-live="off" tabindex="0"
        aria-label="Log lines" @scroll.passive="scrolled">
        <div v-for="line in shown" :key="line.n" class="cm-log-line" :class="line.level.toLowerCase()">
          <time :datetime="line.iso" :title="line.whole">{{ line.clock }}</time>
          <span class="cm-log-level">{{ line.level }}</span>
          <span class="cm-log-who" :title="line.logger">{{ line.who }}</span>
          <span class="cm-log-text"><template v-for="part in parts(line.msg)"><mark v-if="part.hit">{{ part.text }}</mark
            ><template v-else>{{ part.text }}</template></template></span>
        </div>
        <div v-if="!shown.length" class="cm-empty">
          <h3>{{ lines.length ? "No line matches" : "Nothing has been said yet" }}</h3>
          <p>{{ lines.length ? "Of the last " + lines.length + " lines none is of this level and holds these words."
            : "Send a request through the proxy: every answer leaves a line here, and so does whatever goes wrong." }}</p>
          <button v-if="lines.length" type="button" class="cm-button" @click="words = ''; choose(0)">Show all lines</button>
        </div>
      </div>
      <button v-if="!follows && shown.length" type="button" class="cm-button primary small cm-log-newest" @click="go()">
        {{ unseen ? unseen + " new" : "Newest" }} ↓</button>
    </section>`,
  props: { most: { type: Number, default: 1000 } },
  data: () => ({ lines: [], waiting: [], words: "", rank: 0, wrap: true, held: false, follows: true, unseen: 0 }),
  computed: {
    levels: () => LEVELS,
    sought() {
      return this.words.trim().toLowerCase();
    },
    found() {
      return this.sought ? this.lines.filter((line) => line.folded.includes(this.sought)) : this.lines;
    },
    shown() {
      return this.rank ? this.found.filter((line) => line.rank >= this.rank) : this.found;
    },
    counts() {
      const count = (rank) => this.found.reduce((sum, line) => sum + (line.rank === rank ? 1 : 0), 0);
      return { 2: count(2), 3: count(3) };
    },
    told() {
      const all = this.lines.length;
      const these = this.shown.length === all ? `${all} lines` : `${this.shown.length} of ${all} lines`;
      return this.held ? `${these}, paused` : these;
    },
  },
  watch: {
    words() {
      this.settle();
    },
  },
  created() {
    this.next = 0;
  },
  methods: {
    reset(entries) {
      this.lines = [];
      this.waiting = [];
      this.add(entries);
    },
    add(entries) {
      const made = entries.map(this.made);
      if (this.held) {
        this.waiting = [...this.waiting, ...made].slice(-this.most);
        this.unseen = this.waiting.length;
        return;
      }
      this.lines = Object.freeze([...this.lines, ...made].slice(-this.most));
      if (this.follows) this.settle();
      else this.unseen += made.length;
    },
    made(entry) {
      const at = new Date(entry.ts);
      const who = entry.logger.replace(/^codemie_core\./, "");
      return Object.freeze({
        n: this.next++,
        msg: entry.msg,
        level: entry.level,
        logger: entry.logger,
        who,
        rank: RANK[entry.level] ?? 1,
        folded: `${entry.level} ${entry.logger} ${entry.msg}`.toLowerCase(),
        iso: at.toISOString(),
        clock: `${clock.format(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`,
        whole: whole.format(at),
      });
    },
    parts(text) {
      if (!this.sought) return [{ text }];
      const found = [];
      const folded = text.toLowerCase();
      let from = 0;
      for (let at; (at = folded.indexOf(this.sought, from)) >= 0; from = at + this.sought.length) {
        if (at > from) found.push({ text: text.slice(from, at) });
        found.push({ text: text.slice(at, at + this.sought.length), hit: true });
      }
      if (from < text.length) found.push({ text: text.slice(from) });
      return found;
    },
    choose(rank) {
      this.rank = rank;
      this.settle();
    },
    hold() {
      this.held = true;
      this.follows = false;
    },
    go() {
      const waiting = this.waiting;
      this.held = false;
      this.waiting = [];
      this.lines = Object.freeze([...this.lines, ...waiting].slice(-this.most));
      this.follows = true;
      this.settle();
    },
    settle() {
      if (!this.follows) return;
      this.unseen = 0;
      this.$nextTick(() => {
        const lines = this.$refs.lines;
        if (lines) lines.scrollTop = lines.scrollHeight;
      });
    },
    scrolled() {
      const lines = this.$refs.lines;
      const end = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 24;
      if (this.held) return;
      this.follows = end;
      if (end) this.unseen = 0;
    },
  },
};
