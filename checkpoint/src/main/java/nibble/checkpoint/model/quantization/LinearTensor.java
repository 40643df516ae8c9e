package nibble.checkpoint.model.quantization;

import nibble.checkpoint.tensor.TensorSpec;

/**
 * Describes one of the tensors that hold a quantized linear, as its layout has it.
 *
 * @param role what it holds
 * @param spec name, type and shape
 * @param presence whether it must be there
 * @param type how strictly the type is meant
 */
public record LinearTensor(Role role, TensorSpec spec, Presence presence, Type type) {
    /** Lists what a tensor of a quantized linear can hold. */
    public enum Role {
        /** The codes, eight 4-bit ones in a word. */
        CODES,
        /** A scale for each row and group. */
        SCALES,
        /** A zero for each row and group, packed as codes. */
        ZEROS,
        /** The group of each input. */
        GROUPS,
        /** Out-features and in-features. */
        SHAPE
    }

    /** Says who writes it and who needs it. */
    public enum Presence {
        /** Written, and needed by readers. */
        REQUIRED,
        /** Written; readers do without. */
        WRITTEN,
        /** Written by other programs only. */
        FOREIGN
    }

    /** Says how strictly {@link TensorSpec#dtype} is meant. */
    public enum Type {
        EXACT,
        /** F16, BF16 or F32: what the model computes in. */
        ANY_FLOAT
    }

    static LinearTensor required(Role role, TensorSpec spec) {
        return new LinearTensor(role, spec, Presence.REQUIRED, Type.EXACT);
    }

    static LinearTensor floats(Role role, TensorSpec spec) {
        return new LinearTensor(role, spec, Presence.REQUIRED, Type.ANY_FLOAT);
    }

    static LinearTensor optional(Role role, TensorSpec spec, Presence presence) {
        return new LinearTensor(role, spec, presence, Type.EXACT);
    }
}
