package nibble.cli.option;

import nibble.checkpoint.model.ModelConfig;
import nibble.cli.terminal.Terminal;
import nibble.pack.GroupSizes;
import nibble.pack.QuantizationSpec;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/**
 * Holds the option {@code --group-size}: a number, or {@code auto} for the largest that divides all rows of the model.
 */
public final class GroupSize {
    private static final int AUTO = 0;

    @Option(
            names = "--group-size",
            paramLabel = "N|auto",
            defaultValue = "128",
            converter = Converter.class,
            description =
                    "Input features that share a scale: 32, 64, 128, -1 (a whole row) or auto. auto takes the largest"
                            + " of 128, 64 and 32 that divides all rows. Default: ${DEFAULT-VALUE}.")
    private int size = 128;

    /** Turns a size into itself and {@code auto} into {@link #AUTO}. */
    static final class Converter implements ITypeConverter<Integer> {
        @Override
        public Integer convert(String text) {
            if (text.equalsIgnoreCase("auto")) {
                return AUTO;
            }
            try {
                return new QuantizationSpec(4, Integer.parseInt(text)).groupSize();
            } catch (NumberFormatException e) {
                throw new TypeConversionException(
                        "\"" + text + "\" is no group size: give 32, 64, 128, -1 for whole rows, or auto");
            } catch (IllegalArgumentException e) {
                throw new TypeConversionException(e.getMessage() + ", or auto");
            }
        }
    }

    /** Returns the size for a model; one that was chosen here is said. */
    public int of(ModelConfig config, Terminal terminal) {
        if (size != AUTO) {
            return size;
        }
        int largest = GroupSizes.largest(config);
        terminal.note("group size: " + (largest == QuantizationSpec.WHOLE_ROW ? "-1, whole rows; " : largest + "; ")
                + GroupSizes.advice(config));
        return largest;
    }
}
