// Renews the part of a page that is marked `data-live`, until the server no longer marks it.
"use strict";

(() => {
    const INTERVAL = 3000;
    const KEPT = "[data-keep-scroll]";
    const live = () => document.querySelector("[data-live]");

    const renew = (part, text) => {
        const fresh = new DOMParser().parseFromString(text, "text/html").getElementById(part.id);
        if (!fresh) return;
        const places = [...part.querySelectorAll(KEPT)].map((one) => [one.scrollLeft, one.scrollTop]);
        const filled = [...part.querySelectorAll("input:not([type=hidden])")].filter(
            (one) => one.checked !== one.defaultChecked || one.value !== one.defaultValue,
        );
        part.replaceWith(fresh);
        for (const one of filled) {
            // What has gone meanwhile is not ticked any more.
            const same = fresh.querySelector(`[data-keep="${one.dataset.keep}"]`);
            if (same) [same.checked, same.value] = [one.checked, one.value];
        }
        fresh.querySelectorAll(KEPT).forEach((one, index) => one.scrollTo(...(places[index] ?? [0, 0])));
    };

    const look = async () => {
        const part = live();
        if (!part) return;
        try {
            // Not while nobody looks, nor under the hands of somebody who is about to press something.
            if (!document.hidden && !part.contains(document.activeElement)) {
                const answer = await fetch(window.location.href);
                if (answer.redirected || answer.status === 403 || answer.status === 404) return;
                if (answer.ok) renew(part, await answer.text());
            }
        } catch {
            // The network comes back, or the page is left.
        }
        setTimeout(look, INTERVAL);
    };

    setTimeout(look, INTERVAL);
})();
