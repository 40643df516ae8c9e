package nibble.calibrate;

import java.util.List;
import nibble.pack.PackedTensor;

/** The output's format: how a quantized layer becomes tensors. A pure function. */
@FunctionalInterface
public interface LayerPacker {
    List<PackedTensor> pack(int layer, QuantizedLayer quantized);
}
