// The accounts, one below the other: how each is, how full its windows are, when it is back, and what one can do with it.
export default {
  props: { accounts: Array },
  emits: ["act"],
  data: () => ({ beat: 0 }),
  mounted() {
    this.timer = setInterval(() => this.beat++, 1000);
  },
  unmounted() {
    clearInterval(this.timer);
  },
  methods: {
    tell(kind, value) {
      void this.beat;
      return codemie.tell(kind, value);
    },
    act(account, action) {
      this.$emit("act", { id: account.id, action });
    },
    resets(window) {
      if (!window.resets) return "";
      const left = this.tell("until", window.resets);
      return left === "now" ? "reset since" : `resets in ${left}`;
    },
    over(account) {
      void this.beat;
      return account.until && account.until <= Date.now();
    },
  },
  template: `
    <ul class="cm-accounts" aria-label="Accounts">
      <li v-for="account in accounts" :key="account.id" :class="['cm-account', account.paused && 'paused']" :data-name="account.name">
        <div class="cm-account-who">
          <button type="button" class="cm-account-name" @click="act(account, 'details')">{{ account.name }}</button>
          <div class="cm-note">{{ account.provider }} · {{ account.kind }}<template v-if="account.endpoint"> ·
            {{ account.endpoint }}</template></div>
          <div v-if="account.tags.length" class="cm-row"><span v-for="tag in account.tags" class="cm-tag">{{ tag }}</span></div>
        </div>
        <div class="cm-account-state">
          <span :class="['cm-badge', account.mood]">{{ account.state }}</span>
          <div v-if="account.until" class="cm-countdown" :title="tell('full', account.until)">
            <template v-if="over(account)">back now</template>
            <template v-else>back in <b>{{ tell("until", account.until) }}</b><template v-if="!account.verified"> · a guess</template>
            </template></div>
          <div v-if="account.reason" class="cm-note">{{ account.reason }}</div>
          <button v-if="account.signs" type="button" class="cm-button small primary" @click="act(account, 'sign in')">Sign in again</button>
          <div v-for="out in account.out" class="cm-note">{{ out.model }} out{{ out.until ? ", back in " + tell("until", out.until) : "" }}</div>
        </div>
        <div class="cm-account-windows">
          <div v-for="window in account.windows" class="cm-window">
            <span>{{ window.name }}</span>
            <div :class="['cm-bar', window.mood]" role="progressbar" :aria-valuenow="window.percent" aria-valuemin="0"
              aria-valuemax="100" :aria-label="window.name + ' used'"><div :style="{ width: Math.min(100, window.percent) + '%' }"></div></div>
            <b>{{ window.percent }}%</b>
            <span class="cm-note" :title="window.resets ? tell('full', window.resets) : null">{{ resets(window) }}</span>
          </div>
          <div v-if="!account.windows.length" class="cm-note">Nothing was heard of its limits yet.</div>
        </div>
        <dl class="cm-account-use">
          <div><dt>Priority</dt><dd>{{ account.priority }}</dd></div>
          <div><dt>Conversations</dt><dd>{{ account.conversations }}</dd></div>
          <div><dt>Requests, 5 h</dt><dd>{{ tell("count", account.recent) }}</dd></div>
          <div><dt>Last used</dt><dd>{{ tell("ago", account.last) }}</dd></div>
        </dl>
        <div class="cm-account-acts">
          <button type="button" class="cm-button small" @click="act(account, account.paused ? 'resume' : 'pause')">{{
            account.paused ? "Resume" : "Pause" }}</button>
          <button type="button" class="cm-icon" :aria-label="'More for ' + account.name" aria-haspopup="menu">
            <svg viewBox="0 0 16 16" fill="currentColor" aria-hidden="true"><circle cx="3" cy="8" r="1.4"/><circle cx="8" cy="8" r="1.4"/>
              <circle cx="13" cy="8" r="1.4"/></svg>
            <q-menu auto-close anchor="bottom right" self="top right">
              <q-list role="menu">
                <q-item v-for="[action, words] in account.acts" clickable role="menuitem" @click="act(account, action)">
                  <q-item-section>{{ words }}</q-item-section></q-item>
              </q-list>
            </q-menu>
          </button>
        </div>
      </li>
    </ul>`,
};
