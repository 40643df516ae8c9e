package nibble.engine.tensor;

/**
 * Names the matrix of a linear layer, [out_features, in_features]: as its checkpoint holds it, or placed on a device.
 */
public sealed interface Weight
        permits DenseWeight, QuantizedWeight, AwqWeight, StoredWeight, BlockWeight, DeviceWeight {
    int outFeatures();

    int inFeatures();

    /** Returns the tensor's or module's name where known, for messages. */
    String name();
}
