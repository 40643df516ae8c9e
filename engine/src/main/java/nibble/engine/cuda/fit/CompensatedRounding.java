package nibble.engine.cuda.fit;

import nibble.engine.cuda.driver.Precision;

/**
 * Rounds the columns of a row in the order of their activation, as the host does: each to the nearest code of the
 * weight at which the row's loss {@code ‖e D L‖²} would be least, given the errors e of the columns before it. That
 * weight is {@code w_i − Σ_k e_k D_k L_ki / (D_i L_ii)}.
 */
final class CompensatedRounding {
    private CompensatedRounding() {}

    /** Sets codes, given scales and zeros; overwrites the gradient. */
    static void run(RowPiece piece) {
        FitMoment input = piece.input;
        piece.clearGradient();
        long factor = input.factor.address();
        new BlockWalk(piece, Precision.SINGLE, factor, piece.gradient())
                .backwards((first, count, changes) -> piece.card.walk(
                        "compensate",
                        piece.rows,
                        piece.target,
                        piece.gradient(),
                        factor,
                        input.order.address(),
                        input.scales.address(),
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
