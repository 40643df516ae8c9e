package nibble.calibrate;

import java.util.Optional;
import nibble.convert.Checkpoint;
import nibble.datasets.TokenBlocks;

/**
 * All that decides what comes out: with the backend's arithmetic, the output's bytes follow from it.
 *
 * @param source the original; borrowed
 * @param blocks calibration tokens: needed by all but RTN, where only output errors are measured on them
 */
public record QuantizationJob(Checkpoint source, Optional<TokenBlocks> blocks, QuantizeOptions options) {
    public QuantizationJob {
        if (options.method() != Method.RTN && blocks.isEmpty()) {
            throw new IllegalArgumentException("method " + options.method().label() + " needs calibration tokens");
        }
    }
}
