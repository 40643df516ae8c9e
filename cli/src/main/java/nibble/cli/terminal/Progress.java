package nibble.cli.terminal;

import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.jspecify.annotations.Nullable;

/**
 * Shows the progress of one long step: a redrawn bar with the time left on a terminal, elsewhere a plain line at each
 * tenth and at least every half minute. Work is counted in thousandths of the step, so stages of unequal length share
 * one bar.
 */
public final class Progress implements AutoCloseable {
    private static final int STEPS = 1000;
    private static final double SECONDS_BETWEEN_LINES = 30;
    private static final int TITLE_COLUMNS = 24;

    private final Terminal terminal;
    private final String what;
    private final long startNanos = System.nanoTime();
    private final @Nullable ProgressBar bar;
    private int lastTenth;
    private double lastLineSeconds;

    public Progress(Terminal terminal, String what) {
        this.terminal = terminal;
        this.what = what;
        if (terminal.interactive()) {
            bar = new ProgressBarBuilder()
                    .setTaskName(shortened(what))
                    .setInitialMax(STEPS)
                    .setStyle(ProgressBarStyle.COLORFUL_UNICODE_BAR)
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
    public void at(double fraction, String detail) {
        if (bar != null) {
            // The bar says itself how long it took and will take.
            bar.stepTo(Math.round(fraction * STEPS));
            bar.setExtraMessage(detail);
            return;
        }
        double seconds = seconds();
        String left = fraction > 0.01 && fraction < 1
                ? "about " + Figures.duration(seconds * (1 - fraction) / fraction) + " left"
                : "";
        String message = detail + (detail.isEmpty() || left.isEmpty() ? "" : ", ") + left;
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

    /** Leaves room for the bar in 80 columns; a path's end says more than its beginning. */
    private static String shortened(String what) {
        return what.length() <= TITLE_COLUMNS ? what : "…" + what.substring(what.length() - TITLE_COLUMNS + 1);
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
