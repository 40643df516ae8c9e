package nibble.engine.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import nibble.checkpoint.gguf.BlockDecoder;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorView;
import nibble.pack.QuantizedLinear;
import nibble.pack.Words;
import nibble.pack.layout.AwqLayout;
import nibble.pack.layout.StoredCodes;

/**
 * Reads weights as floats, a piece of a row at a time. Every conversion is exact: fp16 and bf16 are subsets of fp32,
 * and a quantized weight's value is defined as a number rounded to fp16.
 */
public final class WeightRows {
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Elements converted at a time, so that the copied shorts are still in L1 when they are read. */
    private static final int CHUNK = 1024;

    private WeightRows() {}

    /** Reads columns {@code column .. column + count} of row {@code row} into {@code into[offset..]}. */
    public static void read(Weight weight, int row, int column, int count, float[] into, int offset) {
        switch (weight) {
            case DenseWeight(TensorView tensor) ->
                read(tensor, (long) row * weight.inFeatures() + column, into, offset, count);
            case BlockWeight(String _, GgufBlocks blocks) -> read(blocks, row, column, count, into, offset);
            case QuantizedWeight(QuantizedLinear linear) -> read(linear, row, column, count, into, offset);
            case StoredWeight(StoredCodes codes) -> read(codes, row, column, count, into, offset);
            case AwqWeight(AwqLayout.AwqLinear linear) -> read(linear, row, column, count, into, offset);
            case DeviceWeight device ->
                throw new IllegalArgumentException(device.name() + " lies in the memory of a device, not of the host");
        }
    }

    /** A part of a row of a GGUF file: the whole blocks that hold it are decoded. */
    private static void read(GgufBlocks blocks, int row, int column, int count, float[] into, int offset) {
        GgufType type = blocks.type();
        if (type.isPlain()) {
            MemorySegment data = blocks.data().asSlice(blocks.offset(row), blocks.rowBytes());
            read(new TensorView("row", type.decoded(), Shape.of(blocks.columns()), data), column, into, offset, count);
            return;
        }
        int first = column / type.blockElements();
        int last = (column + count - 1) / type.blockElements() + 1;
        MemorySegment stored = blocks.data()
                .asSlice(
                        blocks.offset(row) + (long) first * type.blockBytes(),
                        (long) (last - first) * type.blockBytes());
        float[] values = new float[(last - first) * type.blockElements()];
        BlockDecoder.decode(type, stored, MemorySegment.ofArray(values));
        System.arraycopy(values, column - first * type.blockElements(), into, offset, count);
    }

    /** Reads elements {@code first .. first + count} of a tensor, taken as flat. */
    public static void read(TensorView tensor, long first, float[] into, int offset, int count) {
        MemorySegment data = tensor.data();
        switch (tensor.dtype()) {
            case F32 -> MemorySegment.copy(data, FLOAT, 4 * first, into, offset, count);
            case F16 -> {
                short[] bits = new short[Math.min(CHUNK, count)];
                for (int done = 0; done < count; done += CHUNK) {
                    int n = Math.min(CHUNK, count - done);
                    MemorySegment.copy(data, SHORT, 2 * (first + done), bits, 0, n);
                    halfToFloat(bits, n, into, offset + done);
                }
            }
            case BF16 -> {
                short[] bits = new short[Math.min(CHUNK, count)];
                for (int done = 0; done < count; done += CHUNK) {
                    int n = Math.min(CHUNK, count - done);
                    MemorySegment.copy(data, SHORT, 2 * (first + done), bits, 0, n);
                    brainToFloat(bits, n, into, offset + done);
                }
            }
            default ->
                throw new IllegalArgumentException(
                        "tensor " + tensor.name() + ": " + tensor.dtype() + " found, F16, BF16 or F32 expected");
        }
    }

    // Plain loops of this form are what C2 turns into VCVTPH2PS; keep them alone in their methods.
    private static void halfToFloat(short[] bits, int n, float[] into, int offset) {
        for (int i = 0; i < n; i++) {
            into[offset + i] = Float.float16ToFloat(bits[i]);
        }
    }

    private static void brainToFloat(short[] bits, int n, float[] into, int offset) {
        for (int i = 0; i < n; i++) {
            into[offset + i] = Float.intBitsToFloat(bits[i] << 16);
        }
    }

    /** A part of a row of AWQ's layout, where a column of words holds the codes of eight rows. */
    private static void read(AwqLayout.AwqLinear linear, int row, int column, int count, float[] into, int offset) {
        MemorySegment codes = linear.tensors().qweight();
        int in = linear.inFeatures();
        int words = linear.outFeatures() / 8;
        int groupSize = in / linear.spec().groups(in);
        int shift = AwqLayout.shift(row % 8);
        float[] table = new float[16];
        int end = column + count;
        for (int from = column; from < end; ) {
            int group = from / groupSize;
            int to = Math.min(end, (group + 1) * groupSize);
            int zero = linear.tensors().qzeros().get(Words.INT, 4 * ((long) group * words + row / 8)) >>> shift & 15;
            short scale = linear.tensors().scales().get(Words.SHORT, 2 * ((long) group * linear.outFeatures() + row));
            fill(table, Float.float16ToFloat(scale), zero);
            for (int i = from; i < to; i++) {
                int word = codes.get(Words.INT, 4 * ((long) i * words + row / 8));
                into[offset + i - column] = table[word >>> shift & 15];
            }
            from = to;
        }
    }

    /** A part of a row whose words hold several codes each. */
    private static void read(StoredCodes codes, int row, int column, int count, float[] into, int offset) {
        if (codes.bits() == 4) {
            readNibbles(codes, row, column, count, into, offset);
            return;
        }
        int groupSize = codes.inFeatures() / codes.groups();
        int perWord = codes.perWord();
        int bits = codes.bits();
        int mask = codes.spec().maxCode();
        int end = column + count;
        for (int from = column; from < end; ) {
            int group = from / groupSize;
            int to = Math.min(end, (group + 1) * groupSize);
            float scale = Float.float16ToFloat(codes.scale(row, group));
            int zero = codes.zero(row, group);
            int word = codes.word(row, from / perWord);
            for (int i = from; i < to; i++) {
                if (i % perWord == 0) {
                    word = codes.word(row, i / perWord);
                }
                int code = word >>> bits * (i % perWord) & mask;
                into[offset + i - column] = Float.float16ToFloat(Float.floatToFloat16((code - zero) * scale));
            }
            from = to;
        }
    }

    private static void readNibbles(StoredCodes codes, int row, int column, int count, float[] into, int offset) {
        int groupSize = codes.inFeatures() / codes.groups();
        float[] table = new float[16];
        int end = column + count;
        for (int from = column; from < end; ) {
            int group = from / groupSize;
            int to = Math.min(end, (group + 1) * groupSize);
            fill(table, Float.float16ToFloat(codes.scale(row, group)), codes.zero(row, group));
            int word = codes.word(row, from / 8);
            for (int i = from; i < to; i++) {
                if (i % 8 == 0) {
                    word = codes.word(row, i / 8);
                }
                into[offset + i - column] = table[word >>> 4 * (i % 8) & 15];
            }
            from = to;
        }
    }

    /** The values of a group's sixteen codes. */
    private static void fill(float[] table, float scale, int zero) {
        for (int code = 0; code < 16; code++) {
            table[code] = Float.float16ToFloat(Float.floatToFloat16((code - zero) * scale));
        }
    }

    /** As {@link QuantizedLinear#dequantize}, for a part of a row. */
    private static void read(QuantizedLinear linear, int row, int column, int count, float[] into, int offset) {
        if (linear.codesPerByte() == 2) {
            readNibbles(linear, row, column, count, into, offset);
            return;
        }
        byte[] codes = linear.codes();
        int first = row * linear.inFeatures();
        int end = column + count;
        int to;
        for (int from = column; from < end; from = to) {
            int group = from / linear.groupSize();
            int cell = row * linear.groups() + group;
            float scale = Float.float16ToFloat(linear.scales()[cell]);
            int zero = linear.zero(cell);
            to = Math.min(end, (group + 1) * linear.groupSize());
            for (int i = from; i < to; i++) {
                float weight = ((codes[first + i] & 0xff) - zero) * scale;
                into[offset + i - column] = Float.float16ToFloat(Float.floatToFloat16(weight));
            }
        }
    }

    /** By a table of the group's sixteen values. */
    private static void readNibbles(QuantizedLinear linear, int row, int column, int count, float[] into, int offset) {
        byte[] codes = linear.codes();
        byte[] zeros = linear.zeros();
        short[] scales = linear.scales();
        int in = linear.inFeatures();
        int groups = linear.groups();
        int groupSize = in / groups;
        float[] table = new float[16];
        int end = column + count;
        for (int from = column; from < end; ) {
            int group = from / groupSize;
            int to = Math.min(end, (group + 1) * groupSize);
            int cell = row * groups + group;
            int zero = zeros[cell];
            fill(table, Float.float16ToFloat(scales[cell]), zero);
            int i = from;
            int target = offset + from - column;
            long rowStart = (long) row * in;
            if ((i & 1) == 1) {
                into[target++] = table[(codes[(int) ((rowStart + i) >> 1)] >> 4) & 15];
                i++;
            }
            int first = (int) ((rowStart + i) >> 1);
            int pairs = (to - i) >> 1;
            for (int p = 0; p < pairs; p++) {
                int code = codes[first + p];
                into[target + 2 * p] = table[code & 15];
                into[target + 2 * p + 1] = table[(code >> 4) & 15];
            }
            if (((to - i) & 1) == 1) {
                into[target + 2 * pairs] = table[codes[first + pairs] & 15];
            }
            from = to;
        }
    }
}
