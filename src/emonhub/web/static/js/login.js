// The login form: the password goes to POST /login, its answer says whether it was right.
const form = document.getElementById("form");
const problem = document.getElementById("problem");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch("/login", { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (answer.ok) {
      location.replace("/" + location.hash);
      return;
    }
    const said = await answer.json().catch(() => ({}));
    problem.textContent = sentence(said.error || `the hub answers ${answer.status}`);
  } catch {
    problem.textContent = "The hub does not answer. Is it running?";
  } finally {
    button.disabled = false;
  }
  form.password.select();
});

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + ".";
}
