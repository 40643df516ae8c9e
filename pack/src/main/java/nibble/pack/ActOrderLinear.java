package nibble.pack;

/**
 * Holds a linear quantized by GPTQ in order of activation: which group a column belongs to is free. Only GPTQ and
 * compressed-tensors with {@code g_idx} can hold it.
 *
 * @param linear codes, zeros and scales; its own columns' groups mean nothing here
 * @param groupOfColumn [inFeatures], each below {@code linear.groups()}
 */
public record ActOrderLinear(QuantizedLinear linear, int[] groupOfColumn) implements PackedLinear {
    public ActOrderLinear {
        if (groupOfColumn.length != linear.inFeatures()) {
            throw new IllegalArgumentException(
                    groupOfColumn.length + " groups of columns given, " + linear.inFeatures() + " expected");
        }
        for (int column = 0; column < groupOfColumn.length; column++) {
            if (groupOfColumn[column] < 0 || groupOfColumn[column] >= linear.groups()) {
                throw new IllegalArgumentException("column " + column + " is of group " + groupOfColumn[column]
                        + ", there are " + linear.groups());
            }
        }
    }

    /** Returns the plain linear where {@code groupOfColumn} only counts up, else one of this kind. */
    public static PackedLinear of(QuantizedLinear linear, int[] groupOfColumn) {
        for (int column = 0; column < groupOfColumn.length; column++) {
            if (groupOfColumn[column] != column / linear.groupSize()) {
                return new ActOrderLinear(linear, groupOfColumn);
            }
        }
        return linear;
    }

    @Override
    public int outFeatures() {
        return linear.outFeatures();
    }

    @Override
    public int inFeatures() {
        return linear.inFeatures();
    }

    @Override
    public void dequantize(int row, float[] into, int offset) {
        int groups = linear.groups();
        for (int column = 0; column < groupOfColumn.length; column++) {
            int cell = row * groups + groupOfColumn[column];
            float scale = Float.float16ToFloat(linear.scales()[cell]);
            into[offset + column] = Half.round((linear.code(row, column) - linear.zero(cell)) * scale);
        }
    }
}
