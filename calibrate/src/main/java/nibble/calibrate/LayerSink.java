package nibble.calibrate;

/** Takes each layer as soon as it is quantized, in order. */
@FunctionalInterface
public interface LayerSink {
    void accept(int layer, QuantizedLayer quantized);
}
