package nibble.engine.cuda.fit;

import nibble.engine.cuda.driver.Precision;

/** Moves one code of a row after another to where the row's loss {@code e C eᵀ} is least, given all the others. */
final class CoordinateDescent {
    private CoordinateDescent() {}

    /** Sweeps once over all columns; the gradient is that of the codes as they are, and is used up. */
    static void run(RowPiece piece) {
        FitMoment input = piece.input;
        new BlockWalk(piece, Precision.TENSOR, input.moment, piece.gradient())
                .forwards((first, count, changes) -> piece.card.walk(
                        "descend",
                        piece.rows,
                        piece.gradient(),
                        input.moment,
                        piece.scales(),
                        piece.zeros(),
                        piece.rows,
                        input.columns,
                        piece.groups,
                        first,
                        count,
                        piece.most,
                        piece.codes(),
                        changes,
                        BlockWalk.STRETCH));
    }
}
