// What was said, turn by turn. Text stays text: nothing in it is ever taken for HTML. Long pieces open on request.
const LONG = 1800;

export default {
  props: { messages: Array, label: String },
  data: () => ({ opened: {} }),
  methods: {
    key: (message, part) => `${message}.${part}`,
    isLong: (part) => part.text.length > LONG,
    words(part, key) {
      return this.isLong(part) && !this.opened[key] ? part.text.slice(0, LONG) : part.text;
    },
    toggle(key) {
      this.opened = { ...this.opened, [key]: !this.opened[key] };
    },
    title: (part) =>
      ({ thinking: "Thinking", call: "Calls", result: part.ok === false ? "Result · failed" : "Result", media: "Media" })[part.kind],
  },
  template: `
    <ol class="cm-say-talk" :aria-label="label">
      <li v-for="(message, place) in messages" :class="['cm-say-said', message.role]">
        <div class="cm-say-role">{{ message.role }}</div>
        <div class="cm-say-parts">
          <div v-for="(part, number) in message.parts" :class="['cm-say-part', part.kind, part.ok === false && 'failed']">
            <div v-if="title(part)" class="cm-say-title">{{ title(part) }}<b v-if="part.name">{{ part.name }}</b></div>
            <div class="cm-say-words">{{ words(part, key(place, number)) }}<template v-if="isLong(part) && !opened[key(place, number)]">
              …</template></div>
            <button v-if="isLong(part)" type="button" class="cm-button quiet small" @click="toggle(key(place, number))"
              :aria-expanded="!!opened[key(place, number)]">{{ opened[key(place, number)] ? "Show less"
                : "Show all " + part.text.length.toLocaleString("en-US") + " characters" }}</button>
          </div>
        </div>
      </li>
    </ol>`,
};
