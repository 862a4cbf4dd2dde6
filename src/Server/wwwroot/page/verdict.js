// What a comparison came to, in words.
import { $, count, figure, h } from "./dom.js";

/** While it goes on. */
export function tellRound(round, mode) {
  const box = $("verdict");
  box.hidden = false;
  box.dataset.faster = "false";
  box.dataset.same = "true";
  box.replaceChildren(
    h("p", { class: "headline" }, `Round ${round}: ${mode}`),
    h("p", { class: "note" }, "Both modes in turn, three times or more."),
  );
}

/** @returns The same for those who do not see it. */
export function tellVerdict(comparison, modes) {
  const { same, common } = comparison.bytes;
  const texts = comparison.all.length;
  // The mode that speculates is the one to judge; where both do, the first.
  const judged = modes[0] === "off" ? 1 : 0;
  const [mine, other] = [modes[judged], modes[1 - judged]];
  const { brief, alike } = comparison;
  const timed = comparison.timed ? comparison.speed(judged) : null;
  const bytes = common === 1 ? "1 byte" : `${count(common)} bytes`;
  const equal = same ? "Same bytes" : `Different bytes after the first ${count(common)}`;
  const speed = brief
    ? "too short to time"
    : alike
      ? "same work"
      : !timed
        ? "stopped too early to time"
        : timed.sure
          ? factor(timed)
          : "no difference beyond the noise";
  const box = $("verdict");
  box.hidden = false;
  box.dataset.same = same;
  box.dataset.faster = timed?.sure === true && timed.ratio > 1;
  const medians = comparison.rounds
    ? `${figure(comparison.median(judged).speed)} and ${figure(comparison.median(1 - judged).speed)} tokens per second of decoding, ` +
      `medians of ${comparison.rounds} ${comparison.rounds === 1 ? "run" : "runs"} each, in turn`
    : "stopped before both had run";
  box.replaceChildren(
    h("p", { class: "headline" }, h("span", { class: "same" }, equal), ", ", h("span", { class: "times" }, speed)),
    h(
      "p",
      { class: "note" },
      `${mine} against ${other}, seed ${comparison.all[0].seed}: ${medians}` +
        `${timed && !timed.sure ? ` (${times(timed.ratio)}, ${times(timed.low)} to ${times(timed.high)})` : ""}; ` +
        `${same ? `${bytes} compared in each of ${count(texts)} texts` : `${count(texts)} texts compared`}. ` +
        `${alike ? "Neither guessed anything: the difference is the machine's." : ""}`,
    ),
  );
  return `${equal}. ${mine} against ${other}: ${speed}.`;
}

/** "1.42 × faster (1.31 to 1.50)" */
function factor({ ratio, low, high }) {
  return ratio > 1
    ? `${times(ratio)} × faster (${times(low)} to ${times(high)})`
    : `${times(1 / ratio)} × slower (${times(1 / high)} to ${times(1 / low)})`;
}

const times = (ratio) => ratio.toFixed(2);
