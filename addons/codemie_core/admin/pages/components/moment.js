// A moment in the zone of whoever looks: at what time, how long ago, or how long until then.
export default {
  props: { ms: Number, kind: { type: String, default: "time" }, absent: { type: String, default: "–" } },
  data: () => ({ beat: 0 }),
  computed: {
    words() {
      void this.beat;
      return this.ms ? codemie.tell(this.kind, this.ms) : this.absent;
    },
  },
  mounted() {
    if (codemie.moving.has(this.kind)) this.timer = setInterval(() => this.beat++, 1000);
  },
  unmounted() {
    clearInterval(this.timer);
  },
  template: `<time :datetime="ms ? new Date(ms).toISOString() : null"
    :title="ms ? codemieFull(ms) : null">{{ words }}</time>`,
  methods: {
    codemieFull: (ms) => codemie.tell("full", ms),
  },
};
