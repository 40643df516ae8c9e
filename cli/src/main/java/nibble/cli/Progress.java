package nibble.cli;

import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.jspecify.annotations.Nullable;

/**
 * Progress of one long step: a redrawn bar with the time left on a terminal, elsewhere a plain line at each tenth and at
 * least every half minute. Work is counted in thousandths of the step, so stages of unequal length share one bar.
 */
final class Progress implements AutoCloseable {
    private static final int STEPS = 1000;
    private static final double SECONDS_BETWEEN_LINES = 30;

    private final Terminal terminal;
    private final String what;
    private final long startNanos = System.nanoTime();
    private final @Nullable ProgressBar bar;
    private int lastTenth;
    private double lastLineSeconds;

    Progress(Terminal terminal, String what) {
        this.terminal = terminal;
        this.what = what;
        if (terminal.interactive()) {
            bar = new ProgressBarBuilder()
                    .setTaskName(what)
                    .setInitialMax(STEPS)
                    .setStyle(ProgressBarStyle.COLORFUL_UNICODE_BAR)
                    .hideEta()
                    .setEtaFunction(state -> java.util.Optional.empty())
                    .setUpdateIntervalMillis(100)
                    .setConsumer(new ConsoleProgressBarConsumer(System.err))
                    .build();
        } else {
            bar = null;
            terminal.note(what + " …");
        }
    }

    /**
     * Says how far the step has come.
     *
     * @param fraction of the step's work done, 0 to 1
     * @param detail a figure worth seeing now, or empty
     */
    void at(double fraction, String detail) {
        double seconds = seconds();
        String left = fraction > 0.01 && fraction < 1
                ? "about " + Figures.duration(seconds * (1 - fraction) / fraction) + " left"
                : "";
        String message = detail + (detail.isEmpty() || left.isEmpty() ? "" : ", ") + left;
        if (bar != null) {
            bar.stepTo(Math.round(fraction * STEPS));
            bar.setExtraMessage(message);
            return;
        }
        int tenth = (int) Math.floor(fraction * 10 + 1e-9);
        if (tenth > lastTenth && fraction < 1 || seconds - lastLineSeconds > SECONDS_BETWEEN_LINES) {
            lastTenth = tenth;
            lastLineSeconds = seconds;
            terminal.note(String.format(
                    java.util.Locale.ROOT,
                    "%s: %d %%%s",
                    what,
                    Math.round(fraction * 100),
                    message.isEmpty() ? "" : ", " + message));
        }
    }

    double seconds() {
        return (System.nanoTime() - startNanos) / 1e9;
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
        }
        terminal.note(what + ": " + Figures.duration(seconds()));
    }
}
