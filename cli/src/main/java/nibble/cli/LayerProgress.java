package nibble.cli;

import nibble.calibrate.ProgressListener;
import nibble.calibrate.QuantizationReport;
import org.jspecify.annotations.Nullable;

/** Shows a quantization's progress: the layer at work and the mean output error of the last one done. */
final class LayerProgress implements ProgressListener {
    private final Progress progress;
    private String layer = "";
    private String error = "";

    LayerProgress(Progress progress) {
        this.progress = progress;
    }

    @Override
    public void layerStarted(int index, int layers) {
        layer = "layer " + (index + 1) + " of " + layers;
    }

    @Override
    public void progressed(double fraction) {
        progress.at(fraction, layer + error);
    }

    @Override
    public void layerFinished(int index, QuantizationReport.Layer report) {
        double sum = 0;
        for (QuantizationReport.Linear linear : report.linears()) {
            @Nullable Double relative = linear.relativeError();
            sum += relative == null ? linear.weightRelativeError() : relative;
        }
        error = ", last error " + Figures.decimals(100 * sum / report.linears().size(), 2) + " %";
    }
}
