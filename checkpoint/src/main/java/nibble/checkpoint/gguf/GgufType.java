package nibble.checkpoint.gguf;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import nibble.checkpoint.tensor.DType;

/**
 * Lists the element types of GGUF tensors. All but the first three of those that are read here store blocks; the rest
 * can be listed.
 */
public enum GgufType {
    F32(0, 1, 4),
    F16(1, 1, 2),
    BF16(30, 1, 2),
    Q4_0(2, 32, 18),
    Q4_1(3, 32, 20),
    Q5_0(6, 32, 22),
    Q5_1(7, 32, 24),
    Q8_0(8, 32, 34),
    Q2_K(10, 256, 84),
    Q3_K(11, 256, 110),
    Q4_K(12, 256, 144),
    Q5_K(13, 256, 176),
    Q6_K(14, 256, 210),
    IQ4_NL(20, 32, 18),
    IQ4_XS(23, 256, 136),
    MXFP4(39, 32, 17),
    Q8_1(9, 32, 40, false),
    Q8_K(15, 256, 292, false),
    IQ2_XXS(16, 256, 66, false),
    IQ2_XS(17, 256, 74, false),
    IQ3_XXS(18, 256, 98, false),
    IQ1_S(19, 256, 50, false),
    IQ3_S(21, 256, 110, false),
    IQ2_S(22, 256, 82, false),
    I8(24, 1, 1, false),
    I16(25, 1, 2, false),
    I32(26, 1, 4, false),
    I64(27, 1, 8, false),
    F64(28, 1, 8, false),
    IQ1_M(29, 256, 56, false),
    TQ1_0(34, 256, 54, false),
    TQ2_0(35, 256, 66, false),
    NVFP4(40, 64, 36, false),
    Q1_0(41, 128, 18, false),
    Q2_0(42, 64, 18, false);

    private final int id;
    private final int blockElements;
    private final int blockBytes;
    private final boolean read;

    GgufType(int id, int blockElements, int blockBytes) {
        this(id, blockElements, blockBytes, true);
    }

    GgufType(int id, int blockElements, int blockBytes, boolean read) {
        this.id = id;
        this.blockElements = blockElements;
        this.blockBytes = blockBytes;
        this.read = read;
    }

    /** Returns whether elements of this type are computed with here. */
    public boolean isRead() {
        return read;
    }

    /** The types that are read. */
    static List<GgufType> allRead() {
        return Stream.of(values()).filter(GgufType::isRead).toList();
    }

    /** Returns the number of the type in a file. */
    public int id() {
        return id;
    }

    /** Returns how many consecutive elements of a row share a block. */
    public int blockElements() {
        return blockElements;
    }

    public int blockBytes() {
        return blockBytes;
    }

    /** Returns the bytes of so many elements, a multiple of {@link #blockElements()}. */
    public long bytes(long elements) {
        return Math.multiplyExact(elements / blockElements, (long) blockBytes);
    }

    /** Returns the type that decoded elements have: the own one of plain numbers, F32 of blocks. */
    public DType decoded() {
        return switch (this) {
            case F16 -> DType.F16;
            case BF16 -> DType.BF16;
            default -> DType.F32;
        };
    }

    public boolean isPlain() {
        return blockElements == 1;
    }

    static Optional<GgufType> of(int id) {
        for (GgufType type : values()) {
            if (type.id == id) {
                return Optional.of(type);
            }
        }
        return Optional.empty();
    }
}
