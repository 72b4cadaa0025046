// Keeps the status panel of a campaign up to date while it sends; everything shown comes ready from the server.
"use strict";

(() => {
    const INTERVAL = 1500;
    const panel = document.getElementById("campaign-status");
    if (!panel || !("live" in panel.dataset)) return;

    const show = (status) => {
        for (const [name, text] of Object.entries(status.texts)) {
            panel.querySelector(`[data-text="${name}"]`).textContent = text;
        }
        for (const [part, percent] of Object.entries(status.percents)) {
            panel.querySelector(`[data-part="${part}"]`).style.width = `${percent}%`;
        }
        for (const [state, count] of Object.entries(status.counts)) {
            const shown = document.querySelector(`[data-count="${state}"]`);
            shown.textContent = count;
            shown.parentElement.classList.toggle("ph-none", count === "0");
        }
    };

    const look = async () => {
        try {
            const answer = await fetch(panel.dataset.url, { headers: { Accept: "application/json" } });
            if (answer.redirected || answer.status === 403 || answer.status === 404) return;
            if (answer.ok) {
                const status = await answer.json();
                show(status);
                // Other buttons belong to another state.
                if (status.state !== panel.dataset.state) return window.location.reload();
            }
        } catch {
            // The network comes back, or the page is left.
        }
        setTimeout(look, INTERVAL);
    };

    setTimeout(look, INTERVAL);
})();
