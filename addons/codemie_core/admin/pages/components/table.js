// A table of many rows: they come as data, and what they hold becomes text, never HTML.
export default {
  props: {
    columns: Array,
    rows: Array,
    label: String,
    sort: { type: String, default: "" },
    down: { type: Boolean, default: false },
    most: { type: Number, default: 0 },
    picks: { type: Boolean, default: false },
    small: Boolean, // a few columns: a table on a phone, too
    absent: { type: String, default: "" },
  },
  emits: ["pick"],
  data() {
    return { by: this.sort, falling: this.down, beat: 0, own: this.rows ?? [] };
  },
  watch: {
    rows(now) {
      this.own = now;
    },
  },
  computed: {
    sorted() {
      if (!this.by) return this.own;
      const key = (row) => {
        const value = row[this.by];
        return Array.isArray(value) ? value[0] : value;
      };
      const order = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
      const told = (value) => value !== null && value !== undefined && value !== "";
      // What is not known stays last, whichever way it is sorted.
      return [...this.own].sort((one, other) => {
        const [a, b] = [key(one), key(other)];
        if (told(a) !== told(b)) return told(a) ? -1 : 1;
        return told(a) ? (this.falling ? order(b, a) : order(a, b)) : 0;
      });
    },
    moves() {
      return this.columns.some((column) => codemie.moving.has(column.kind)) || this.own.some((row) => row.since);
    },
  },
  mounted() {
    this.timer = setInterval(() => this.moves && this.beat++, 1000);
  },
  unmounted() {
    clearInterval(this.timer);
  },
  methods: {
    // Rows by their id: known ones are replaced, new ones come first.
    upsert(rows) {
      const places = new Map(this.own.map((row, place) => [row.id, place]));
      const next = [...this.own];
      const fresh = [];
      for (const row of rows) {
        if (places.has(row.id)) next[places.get(row.id)] = { ...next[places.get(row.id)], ...row };
        else fresh.unshift(row);
      }
      this.own = this.most ? [...fresh, ...next].slice(0, this.most) : [...fresh, ...next];
    },
    append(rows) {
      const known = new Set(this.own.map((row) => row.id));
      this.own = [...this.own, ...rows.filter((row) => !known.has(row.id))];
    },
    order(column) {
      if (column.sorts === false) return;
      if (this.by === column.key) this.falling = !this.falling;
      else [this.by, this.falling] = [column.key, column.right];
    },
    // What goes on counts up from when it began.
    words(column, row) {
      void this.beat;
      const since = row.since?.[column.key];
      return codemie.tell(column.kind, since ? Date.now() - since : row[column.key]);
    },
    full(column, value) {
      if (["time", "ago", "until"].includes(column.kind) && value) return codemie.tell("full", value);
      return column.kind === "text" || column.kind === "mono" ? value : null;
    },
    go(row, event) {
      if (event.target.closest("a, button") || getSelection().toString()) return;
      if (row.href) location.assign(row.href);
      else if (this.picks) this.$emit("pick", row.id);
    },
  },
  template: `
    <div :class="['cm-table-room', small && 'small']" tabindex="-1">
      <table class="cm-table" :aria-label="label">
        <thead><tr>
          <th v-for="column in columns" :key="column.key" scope="col" :class="[column.right && 'right', column.css]"
              :style="column.width && { width: column.width }"
              :aria-sort="by === column.key ? (falling ? 'descending' : 'ascending') : null">
            <button v-if="column.sorts !== false" type="button" @click="order(column)">{{ column.label }}<i
              aria-hidden="true">{{ by === column.key ? (falling ? "↓" : "↑") : "" }}</i></button>
            <span v-else :class="column.silent && 'cm-hidden'">{{ column.label }}</span>
          </th>
        </tr></thead>
        <tbody>
          <tr v-for="row in sorted" :key="row.id" :class="[(row.href || picks) && 'goes', row.css]" @click="go(row, $event)"
              :tabindex="picks && !row.href ? 0 : null" @keydown.enter="picks && !row.href && $emit('pick', row.id)">
            <td v-for="(column, place) in columns" :key="column.key" :class="[column.right && 'right', column.kind, column.css]"
                :data-label="column.label" :title="full(column, row[column.key])">
              <span v-if="column.kind === 'badge' && row[column.key]" :class="['cm-badge', row[column.key][1]]">{{
                row[column.key][0] }}</span>
              <span v-else-if="column.kind === 'bar' && row[column.key]" class="cm-bar-cell"><span
                :class="['cm-bar', row[column.key][2]]"><div :style="{ width: Math.min(100, row[column.key][0]) + '%' }"></div>
                </span><span>{{ row[column.key][1] }}</span></span>
              <span v-else-if="column.kind === 'tags'" class="cm-row"><span v-for="tag in row[column.key]" class="cm-tag">{{
                tag }}</span></span>
              <a v-else-if="place === 0 && row.href" :href="row.href">{{ words(column, row) }}</a>
              <template v-else>{{ words(column, row) }}</template>
            </td>
          </tr>
        </tbody>
      </table>
      <p v-if="!own.length && absent" class="cm-table-absent">{{ absent }}</p>
    </div>`,
};
