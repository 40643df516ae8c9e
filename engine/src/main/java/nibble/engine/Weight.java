package nibble.engine;

/** The matrix of a linear layer, [out_features, in_features], in the form its checkpoint holds. */
public sealed interface Weight permits DenseWeight, QuantizedWeight {
    int outFeatures();

    int inFeatures();

    /** The tensor's or module's name where known, for messages. */
    String name();
}
