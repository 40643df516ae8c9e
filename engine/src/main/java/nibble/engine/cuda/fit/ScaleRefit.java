package nibble.engine.cuda.fit;

import nibble.engine.cuda.driver.DeviceMemory;

/**
 * Sets the scale of each group in turn to the least squares of its row's loss {@code e C eᵀ}, codes and zeros as they
 * are.
 */
final class ScaleRefit {
    private ScaleRefit() {}

    /** The gradient is that of the codes and scales as they are, and is used up. */
    static void run(RowPiece piece) {
        if (piece.groups == 1) {
            ofRows(piece);
            return;
        }
        BlockWalk.alongGradient(piece, "refit");
    }

    /** Where a row is one group, its one scale. */
    private static void ofRows(RowPiece piece) {
        FitCard card = piece.card;
        int n = piece.input.columns;
        long bytes = (long) Double.BYTES * piece.rows;
        try (DeviceMemory.Buffer slopes = card.allocate(bytes, "scales on their way");
                DeviceMemory.Buffer curvatures = card.allocate(bytes, "scales on their way")) {
            long steps = piece.errors();
            card.elements("whole_steps", piece.rows, n, piece.codes(), piece.zeros(), n, steps);
            piece.dots(steps, piece.gradient(), slopes.address());
            piece.multiply(steps, piece.gradient());
            piece.dots(steps, piece.gradient(), curvatures.address());
            card.elements(
                    "whole_refit",
                    1,
                    piece.rows,
                    curvatures.address(),
                    slopes.address(),
                    piece.rows,
                    piece.most,
                    piece.scales());
        }
    }
}
