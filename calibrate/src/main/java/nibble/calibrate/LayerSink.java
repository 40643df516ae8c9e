package nibble.calibrate;

import java.io.IOException;

/** Takes each layer as soon as it is quantized, in order. */
@FunctionalInterface
public interface LayerSink {
    void accept(int layer, QuantizedLayer quantized) throws IOException;
}
