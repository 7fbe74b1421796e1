// Videos side by side that play in step: one clock, the first video's, which the others follow.
"use strict";

lavitReport.player = (() => {
  const { element } = lavitReport;
  const DRIFT = 0.12;

  function together(videos) {
    const play = element("button", { "type": "button", "class": "play" }, "Play");
    const scrub = element("input", { "type": "range", "min": 0, "max": 1000, "value": 0, "aria-label": "position" });
    const clock = element("output", { "class": "clock" }, "0.0 s");
    const length = () => Math.max(0, ...videos.map((video) => (Number.isFinite(video.duration) ? video.duration : 0)));
    // The longest one leads, so that a shorter one waits on its last picture.
    const leader = () => videos.reduce((one, other) => ((other.duration || 0) > (one.duration || 0) ? other : one));
    let wanted = false;

    function seek(seconds) {
      for (const video of videos) {
        if (Number.isFinite(video.duration)) video.currentTime = Math.min(seconds, Math.max(0, video.duration - 0.001));
      }
    }

    function start() {
      wanted = true;
      play.textContent = "Pause";
      if (leader().ended) seek(0);
      for (const video of videos) if (!video.ended) video.play().catch(() => stop());
      tick();
    }

    function stop() {
      wanted = false;
      play.textContent = "Play";
      for (const video of videos) video.pause();
    }

    function tick() {
      if (!videos[0].isConnected) return stop();
      const lead = leader();
      const now = lead.currentTime;
      clock.textContent = `${now.toFixed(1)} s`;
      if (document.activeElement !== scrub || wanted) scrub.value = length() ? (1000 * now) / length() : 0;
      if (!wanted) return undefined;
      for (const video of videos) {
        const at = Math.min(now, Math.max(0, video.duration - 0.001));
        if (video !== lead && Math.abs(video.currentTime - at) > DRIFT) video.currentTime = at;
      }
      if (lead.ended) {
        seek(0);
        for (const video of videos) video.play().catch(() => stop());
      }
      return requestAnimationFrame(tick);
    }

    play.addEventListener("click", () => (wanted ? stop() : start()));
    scrub.addEventListener("input", () => {
      seek((Number(scrub.value) / 1000) * length());
      clock.textContent = `${((Number(scrub.value) / 1000) * length()).toFixed(1)} s`;
    });
    const bar = element("div", { "class": "bar", "role": "group", "aria-label": "Play all in step" }, play, scrub, clock);
    bar.toggle = () => (wanted ? stop() : start());
    return bar;
  }

  function medium([role, kind, source, name, note], controls) {
    const caption = element("figcaption", {}, element("b", {}, role), " ", element("span", { "class": "dim" }, name));
    let shown;
    if (source === null) shown = element("div", { "class": "none" }, note || "nothing to show");
    else if (kind === "image") shown = element("img", { "src": source, "alt": `${role}: ${name}`, "loading": "lazy" });
    else {
      shown = element("video", {
        "src": source, "preload": "auto", "playsinline": true, "controls": controls, "loop": controls,
        "aria-label": `${role}: ${name}`,
      });
      shown.muted = true;
    }
    if (source !== null && note) caption.append(` (${note})`);
    return element("figure", {}, shown, caption);
  }

  // All media of a sample; two videos or more share one bar.
  function gallery(media) {
    const playable = media.filter(([, kind, source]) => kind === "video" && source !== null);
    const several = playable.length > 1;
    const figures = media.map((one) => medium(one, !several));
    const box = element("div", { "class": "gallery" }, element("div", { "class": "figures" }, ...figures));
    const videos = [...box.querySelectorAll("video")];
    if (several) {
      const bar = together(videos);
      box.append(bar);
      box.toggle = bar.toggle;
    } else if (videos.length) {
      box.toggle = () => (videos[0].paused ? videos[0].play().catch(() => {}) : videos[0].pause());
    }
    return box;
  }

  return { gallery };
})();
