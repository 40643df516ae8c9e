package nibble.cli.terminal;

import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationReport;
import org.jspecify.annotations.Nullable;

/**
 * Shows a quantization's progress: the layer at work, tokens a second, the mean output error of the last layer done.
 */
public final class LayerProgress implements ProgressListener {
    private final Terminal terminal;
    private final Progress progress;
    private String layer = "";
    private String rate = "";
    private String error = "";

    public LayerProgress(Terminal terminal, Progress progress) {
        this.terminal = terminal;
        this.progress = progress;
    }

    @Override
    public void note(String text) {
        terminal.note(text);
    }

    @Override
    public void layerStarted(int index, int layers) {
        layer = "layer " + (index + 1) + " of " + layers;
    }

    @Override
    public void forwarded(double tokensPerSecond) {
        rate = String.format(java.util.Locale.ROOT, ", %,.0f tokens/s forward", tokensPerSecond);
    }

    @Override
    public void stepFinished(int step, int steps, double divergence) {
        layer = "tuning step " + step + " of " + steps;
        rate = "";
        error = ", divergence " + Figures.decimals(divergence, 5);
    }

    @Override
    public void progressed(double fraction) {
        progress.at(fraction, layer + rate + error);
    }

    @Override
    public void layerFinished(int index, QuantizationReport.Layer report, double seconds) {
        double sum = 0;
        for (QuantizationReport.Linear linear : report.linears()) {
            @Nullable Double relative = linear.relativeError();
            sum += relative == null ? linear.weightRelativeError() : relative;
        }
        error = ", last error " + Figures.decimals(100 * sum / report.linears().size(), 2) + " %";
    }
}
