package nibble.calibrate.journal;

import java.util.List;
import nibble.calibrate.search.QuantizedLayer;
import nibble.pack.layout.PackedTensor;

/** Packs a layer in the output's format: how a quantized layer becomes tensors. A pure function. */
@FunctionalInterface
public interface LayerPacker {
    List<PackedTensor> pack(int layer, QuantizedLayer quantized);
}
