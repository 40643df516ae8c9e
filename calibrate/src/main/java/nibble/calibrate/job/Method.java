package nibble.calibrate.job;

import com.fasterxml.jackson.annotation.JsonValue;
import java.util.Locale;

/** Lists the ways to find codes. */
public enum Method {
    /** Plain rounding to nearest: needs no calibration text. */
    RTN,
    /** Activation-aware scales and clipping, then rounding to nearest (Lin et al., "AWQ", arXiv 2306.00978). */
    AWQ,
    /**
     * AWQ's scales, then codes and scales fitted in closed form, each linear to the output that the original model has
     * after what was quantized before it ({@link nibble.engine.host.fit}); then steps that tune scales and norms by the
     * divergence of the whole model ({@link nibble.calibrate.tune}).
     */
    BEST;

    /** Returns the name on the command line and in reports. */
    @JsonValue
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
