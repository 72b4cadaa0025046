// Offers the time zone of the browser where none was chosen yet; UTC stays where the list does not have it.
"use strict";

(() => {
    const zones = document.querySelector("select[name=timezone]");
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    if (zones && [...zones.options].some((option) => option.value === timeZone)) zones.value = timeZone;
})();
