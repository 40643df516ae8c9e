package nibble.convert.blocks;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.jspecify.annotations.Nullable;

/**
 * Groups of weights side by side, so that a vector's lanes hold the same element of consecutive groups:
 *
 * <pre>
 * element e of group g    values[e * stride + g]
 * </pre>
 *
 * <p>What is computed of a group stays in its lane, so results do not depend on the width of vectors.
 */
final class Groups {
    /** The property {@code nibble.vector.bits} (128, 256, 512) narrows them, as in the engine, for tests. */
    static final VectorSpecies<Float> LANES = switch (System.getProperty("nibble.vector.bits", "")) {
        case "128" -> FloatVector.SPECIES_128;
        case "256" -> FloatVector.SPECIES_256;
        case "512" -> FloatVector.SPECIES_512;
        default -> FloatVector.SPECIES_PREFERRED;
    };

    /** A batch of so many elements stays in the processor's caches. */
    static final int BATCH_ELEMENTS = 8192;

    final int elements;
    final int count;
    final int stride;
    final float[] values;
    /** How much the squared error of each value counts. */
    final float[] weights;

    private Groups(int elements, int count) {
        this.elements = elements;
        this.count = count;
        this.stride = (count + LANES.length() - 1) / LANES.length() * LANES.length();
        this.values = new float[elements * stride];
        this.weights = new float[elements * stride];
    }

    /** How an element's weight follows from the values around it. */
    enum Weighting {
        /** Its magnitude and the root mean square of its group: larger weights carry more of the output. */
        MAGNITUDE,
        /** Its square. */
        SQUARE
    }

    /**
     * Takes {@code count} groups out of rows.
     *
     * @param from of the first group in {@code row}
     * @param span elements whose mean square joins an element's own square where there is an importance: a block's
     * @param importance mean square of the activation that meets a column, repeating every row; none where it is
     *     unknown
     */
    static Groups of(
            float[] row,
            int from,
            int elements,
            int count,
            int span,
            Weighting weighting,
            float @Nullable [] importance) {
        Groups groups = new Groups(elements, count);
        for (int g = 0; g < count; g++) {
            for (int e = 0; e < elements; e++) {
                groups.values[e * groups.stride + g] = row[from + g * elements + e];
            }
        }
        if (importance == null) {
            groups.weighByMagnitude(weighting);
        } else {
            groups.weighByImportance(row, from, span, importance);
        }
        return groups;
    }

    private void weighByMagnitude(Weighting weighting) {
        float[] rootMeanSquares = new float[stride];
        if (weighting == Weighting.MAGNITUDE) {
            for (int row = 0; row < values.length; row += stride) {
                for (int g = 0; g < stride; g++) {
                    rootMeanSquares[g] += values[row + g] * values[row + g];
                }
            }
            for (int g = 0; g < stride; g++) {
                rootMeanSquares[g] = (float) Math.sqrt(rootMeanSquares[g] / elements);
            }
        }
        for (int row = 0; row < values.length; row += stride) {
            for (int g = 0; g < stride; g++) {
                float magnitude = Math.abs(values[row + g]);
                weights[row + g] =
                        weighting == Weighting.SQUARE ? magnitude * magnitude : rootMeanSquares[g] + magnitude;
            }
        }
    }

    /**
     * The activation's mean square times {@code sqrt(2·mean square + x²)}, as llama.cpp's importance matrices are used.
     */
    private void weighByImportance(float[] row, int from, int span, float[] importance) {
        int groupsOfSpan = span / elements;
        for (int first = 0; first < count; first += groupsOfSpan) {
            int start = from + first * elements;
            float squares = 0;
            for (int i = start; i < start + span; i++) {
                squares += row[i] * row[i];
            }
            float twiceMeanSquare = 2 * squares / span;
            int column = start % importance.length;
            for (int i = 0; i < span; i++) {
                float x = row[start + i];
                int at = i % elements * stride + first + i / elements;
                weights[at] = importance[column + i] * (float) Math.sqrt(twiceMeanSquare + x * x);
            }
        }
    }
}
