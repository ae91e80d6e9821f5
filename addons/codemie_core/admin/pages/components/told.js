// One number, as the tables tell them.
export default {
  props: { kind: String, value: Number },
  template: `<span>{{ codemieTell() }}</span>`,
  methods: {
    codemieTell() {
      return codemie.tell(this.kind, this.value);
    },
  },
};
