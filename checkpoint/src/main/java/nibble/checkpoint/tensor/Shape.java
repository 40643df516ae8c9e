package nibble.checkpoint.tensor;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/**
 * Holds the extents of a tensor, outermost first. A scalar has no extents and one element.
 *
 * @param dims extents, each at least 0; their product fits a {@code long}
 */
public record Shape(List<Long> dims) {
    public Shape {
        dims = List.copyOf(dims);
        long elements = 1;
        for (long dim : dims) {
            if (dim < 0) {
                throw new IllegalArgumentException("negative extent in shape " + dims);
            }
            elements = Math.multiplyExact(elements, dim);
        }
    }

    public static Shape of(long... dims) {
        return new Shape(Arrays.stream(dims).boxed().toList());
    }

    public int rank() {
        return dims.size();
    }

    public long dim(int axis) {
        return dims.get(axis);
    }

    public long elements() {
        long elements = 1;
        for (long dim : dims) {
            elements *= dim;
        }
        return elements;
    }

    @Override
    public String toString() {
        return dims.stream().map(String::valueOf).collect(Collectors.joining(", ", "[", "]"));
    }
}
