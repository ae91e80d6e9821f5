// The token goes into a header, never into an address: what comes back is a code that is good once.
(() => {
  const form = document.querySelector("form");
  const problem = document.querySelector("[role=alert]");
  const say = (words) => (problem.textContent = words);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const token = form.elements.token.value.trim();
    const button = form.querySelector("button");
    if (!/^[\x21-\x7e]+$/.test(token)) return say("Paste the whole content of the token file.");
    button.disabled = true;
    try {
      const answer = await fetch("/api/session/code", {
        method: "POST",
        headers: { "Authorization": `Bearer ${token}`, "Content-Type": "application/json" },
        body: "{}",
      });
      const told = await answer.json();
      if (answer.ok) return location.replace(`/?code=${encodeURIComponent(told.code)}`);
      say(answer.status === 401 ? "That is not this proxy's token." : told.detail ?? told.title ?? "That did not work.");
    } catch {
      say("The proxy does not answer: is it still running?");
    } finally {
      button.disabled = false;
    }
  });
})();
