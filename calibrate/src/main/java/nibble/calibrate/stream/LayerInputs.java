package nibble.calibrate.stream;

import nibble.calibrate.job.QuantizationReport;
import nibble.engine.quantize.InputStatistics;
import org.jspecify.annotations.Nullable;

/** Gives statistics of the inputs of a layer's linears over all calibration tokens. Owns them. */
public interface LayerInputs extends LinearInputs<InputStatistics>, AutoCloseable {
    /** Returns what the experts saw; null where there are none. */
    QuantizationReport.@Nullable Experts experts();

    @Override
    void close();
}
