package nibble.jinja.syntax;

import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** Computes a value. */
public sealed interface Expression {
    /** Shows each expression within this one, in the order in which they stand. */
    default void children(Consumer<Expression> visitor) {}

    private static void visit(@Nullable Expression expression, Consumer<Expression> visitor) {
        if (expression != null) {
            visitor.accept(expression);
        }
    }

    record Literal(Object value) implements Expression {}

    record Name(String name) implements Expression {}

    record ListOf(List<Expression> items) implements Expression {
        @Override
        public void children(Consumer<Expression> visitor) {
            items.forEach(visitor);
        }
    }

    record TupleOf(List<Expression> items) implements Expression {
        @Override
        public void children(Consumer<Expression> visitor) {
            items.forEach(visitor);
        }
    }

    record DictOf(List<Expression> keys, List<Expression> values) implements Expression {
        @Override
        public void children(Consumer<Expression> visitor) {
            keys.forEach(visitor);
            values.forEach(visitor);
        }
    }

    record Dot(Expression of, String name) implements Expression {
        @Override
        public void children(Consumer<Expression> visitor) {
            visitor.accept(of);
        }
    }

    record Bracket(Expression of, Expression key) implements Expression {
        @Override
        public void children(Consumer<Expression> visitor) {
            visitor.accept(of);
            visitor.accept(key);
        }
    }

    record Slice(Expression of, Expression start, Expression stop, Expression step) implements Expression {
        @Override
        public void children(Consumer<Expression> visitor) {
            visitor.accept(of);
            visitor.accept(start);
            visitor.accept(stop);
            visitor.accept(step);
        }
    }

    /** Holds the arguments of a call, a filter or a test; {@code *star} and {@code **stars} may be absent. */
    record CallArguments(
            List<Expression> positional,
            List<Keyword> keywords,
            @Nullable Expression star,
            @Nullable Expression stars) {
        public static final CallArguments NONE = new CallArguments(List.of(), List.of(), null, null);

        void children(Consumer<Expression> visitor) {
            positional.forEach(visitor);
            keywords.forEach(keyword -> visitor.accept(keyword.value()));
            visit(star, visitor);
            visit(stars, visitor);
        }
    }

    /** Holds one argument by name. */
    record Keyword(String name, Expression value) {}

    record Call(Expression of, CallArguments arguments) implements Expression {
        @Override
        public void children(Consumer<Expression> visitor) {
            visitor.accept(of);
            arguments.children(visitor);
        }
    }

    /** Applies a filter to a value; of none where a block's text is filtered. */
    record Filter(@Nullable Expression of, String name, CallArguments arguments) implements Expression {
        @Override
        public void children(Consumer<Expression> visitor) {
            visit(of, visitor);
            arguments.children(visitor);
        }
    }

    record Test(Expression of, String name, CallArguments arguments) implements Expression {
        @Override
        public void children(Consumer<Expression> visitor) {
            visitor.accept(of);
            arguments.children(visitor);
        }
    }

    /** Computes {@code -}, {@code +} or {@code not}. */
    record Unary(String operator, Expression of) implements Expression {
        @Override
        public void children(Consumer<Expression> visitor) {
            visitor.accept(of);
        }
    }

    /** Computes arithmetic, {@code and} and {@code or}. */
    record Binary(String operator, Expression left, Expression right) implements Expression {
        @Override
        public void children(Consumer<Expression> visitor) {
            visitor.accept(left);
            visitor.accept(right);
        }
    }

    record Concat(List<Expression> parts) implements Expression {
        @Override
        public void children(Consumer<Expression> visitor) {
            parts.forEach(visitor);
        }
    }

    /** Computes a chain of comparisons: an operator stands before each operand but the first. */
    record Compare(List<Expression> operands, List<String> operators) implements Expression {
        @Override
        public void children(Consumer<Expression> visitor) {
            operands.forEach(visitor);
        }
    }

    record Condition(
            Expression test, Expression then, @Nullable Expression otherwise) implements Expression {
        @Override
        public void children(Consumer<Expression> visitor) {
            visitor.accept(test);
            visitor.accept(then);
            visit(otherwise, visitor);
        }
    }
}
