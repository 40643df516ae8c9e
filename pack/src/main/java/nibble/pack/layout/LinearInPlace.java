package nibble.pack.layout;

import nibble.pack.QuantizedLinear;

/** Holds a quantized linear as its checkpoint stores it: views of the mapped files, which must stay open. */
public sealed interface LinearInPlace permits AwqLayout.AwqLinear, StoredCodes {
    /** Returns the module's full name. */
    String module();

    int outFeatures();

    int inFeatures();

    /** Returns a copy on the heap, its codes by rows. */
    QuantizedLinear unpack();
}
