package nibble.checkpoint.model.quantization;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * Describes weights in 8-bit floats with a scale for each block, which are read as a source like dense ones.
 *
 * @param rows of a block
 * @param columns of a block
 */
public record Fp8Config(int rows, int columns) {
    private static final int MOST = 1 << 16;

    /** Returns whether a {@code quantization_config} describes such weights. */
    public static boolean isRead(JsonNode quantization) {
        JsonNode size = quantization.path("weight_block_size");
        return quantization.path("quant_method").asText().equals("fp8")
                && quantization.path("fmt").asText("e4m3").equals("e4m3")
                && size.isArray()
                && size.size() == 2
                && isExtent(size.get(0))
                && isExtent(size.get(1));
    }

    private static boolean isExtent(JsonNode number) {
        return number.isInt() && number.intValue() >= 1 && number.intValue() <= MOST;
    }

    /** Returns the blocks of a {@code quantization_config} that {@link #isRead}. */
    public static Fp8Config of(JsonNode quantization) {
        JsonNode size = quantization.path("weight_block_size");
        return new Fp8Config(size.get(0).intValue(), size.get(1).intValue());
    }
}
