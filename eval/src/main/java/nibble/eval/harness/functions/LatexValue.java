package nibble.eval.harness.functions;

import java.util.Map;
import java.util.function.DoubleUnaryOperator;
import nibble.datasets.PythonText;

/**
 * Computes what an expression in LaTeX is worth at a point: sums, products, fractions, powers, roots, absolute values,
 * factorials and elementary functions of numbers, π and letters. Two expressions are taken for equal if they are so at
 * several points.
 */
final class LatexValue {
    private static final int POINTS = 5;
    private static final Map<String, DoubleUnaryOperator> FUNCTIONS = Map.of(
            "sin", Math::sin,
            "cos", Math::cos,
            "tan", Math::tan,
            "cot", x -> 1 / Math.tan(x),
            "sec", x -> 1 / Math.cos(x),
            "csc", x -> 1 / Math.sin(x),
            "ln", Math::log,
            "log", Math::log,
            "exp", Math::exp,
            "arctan", Math::atan);

    private final String text;
    private final int point;
    private int at;
    private int depth;

    private LatexValue(String text, int point) {
        this.text = text;
        this.point = point;
    }

    /** Whether both texts are expressions, and equal. */
    static boolean same(String a, String b) {
        try {
            for (int point = 0; point < POINTS; point++) {
                double x = of(a, point);
                double y = of(b, point);
                if (!(Math.abs(x - y) <= 1e-9 * Math.max(1, Math.abs(y)))) {
                    return false;
                }
            }
            return true;
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    /** @throws IllegalArgumentException if a text is no such expression */
    private static double of(String latex, int point) {
        String plain = latex.replace("\\left", "")
                .replace("\\right", "")
                .replace("\\!", "")
                .replace("\\,", "")
                .replace("\\;", "")
                .replace("\\ ", " ")
                .replace("dfrac", "frac")
                .replace("tfrac", "frac");
        LatexValue value = new LatexValue(PythonText.strip(plain), point);
        double found = value.sum();
        if (value.at < value.text.length() || value.text.isEmpty()) {
            throw value.wrong();
        }
        return found;
    }

    private IllegalArgumentException wrong() {
        return new IllegalArgumentException("no expression at character " + at + ": " + text);
    }

    private boolean takes(String token) {
        while (at < text.length() && text.charAt(at) == ' ') {
            at++;
        }
        boolean here = text.startsWith(token, at);
        boolean longer = here
                && token.startsWith("\\")
                && Character.isLetter(token.charAt(token.length() - 1))
                && at + token.length() < text.length()
                && Character.isLetter(text.charAt(at + token.length()));
        if (here && !longer) {
            at += token.length();
            return true;
        }
        return false;
    }

    private void require(String token) {
        if (!takes(token)) {
            throw wrong();
        }
    }

    private double sum() {
        if (++depth > 100) {
            throw wrong();
        }
        double sum = takes("-") ? -product() : takes("+") ? product() : product();
        while (true) {
            if (takes("+")) {
                sum += product();
            } else if (takes("-")) {
                sum -= product();
            } else {
                depth--;
                return sum;
            }
        }
    }

    private double product() {
        double product = factor();
        while (true) {
            if (takes("\\cdot") || takes("\\times") || takes("*")) {
                product *= signed();
            } else if (takes("/") || takes("\\div")) {
                product /= signed();
            } else if (beginsFactor()) {
                product *= factor();
            } else {
                return product;
            }
        }
    }

    private double signed() {
        return takes("-") ? -factor() : factor();
    }

    private boolean beginsFactor() {
        takes("");
        return at < text.length()
                && (Character.isLetterOrDigit(text.charAt(at)) || "\\({[.".indexOf(text.charAt(at)) >= 0)
                && !text.startsWith("\\cdot", at)
                && !text.startsWith("\\times", at)
                && !text.startsWith("\\div", at);
    }

    private double factor() {
        double base = atom();
        while (true) {
            if (takes("^")) {
                base = Math.pow(base, argument());
            } else if (takes("!")) {
                base = factorial(base);
            } else {
                return base;
            }
        }
    }

    private static double factorial(double n) {
        double product = 1;
        for (int i = 2; i <= Math.min(n, 170); i++) {
            product *= i;
        }
        return product;
    }

    /** What stands in braces, or one character. */
    private double argument() {
        if (takes("{")) {
            double value = sum();
            require("}");
            return value;
        }
        takes("");
        if (at < text.length() && Character.isDigit(text.charAt(at))) {
            return Character.digit(text.charAt(at++), 10);
        }
        return atom();
    }

    private double atom() {
        takes("");
        if (at >= text.length()) {
            throw wrong();
        }
        char c = text.charAt(at);
        if (Character.isDigit(c) || c == '.') {
            return number();
        }
        if (takes("(") || takes("\\(")) {
            return closed(")");
        }
        if (takes("[")) {
            return closed("]");
        }
        if (takes("{")) {
            return closed("}");
        }
        if (takes("|")) {
            return Math.abs(closed("|"));
        }
        return Character.isLetter(c) ? letter(text.charAt(at++)) : command();
    }

    private double closed(String end) {
        double value = sum();
        require(end);
        return value;
    }

    private double letter(char letter) {
        return 0.37 + 0.11 * (letter % 23) + 0.217 * point;
    }

    private double command() {
        if (takes("\\frac")) {
            double above = argument();
            return above / argument();
        }
        if (takes("\\sqrt")) {
            boolean named = takes("[");
            double root = named ? closed("]") : 2;
            if (named && !text.startsWith("{", at)) {
                // Neither SymPy nor math-verify reads a named root without braces.
                throw wrong();
            }
            double of = argument();
            return of < 0 && root % 2 == 1 ? -Math.pow(-of, 1 / root) : Math.pow(of, 1 / root);
        }
        if (takes("\\pi")) {
            return Math.PI;
        }
        if (takes("\\binom")) {
            double n = argument();
            double k = argument();
            return factorial(n) / factorial(k) / factorial(n - k);
        }
        for (Map.Entry<String, DoubleUnaryOperator> function : FUNCTIONS.entrySet()) {
            if (takes("\\" + function.getKey())) {
                double power = takes("^") ? argument() : 1;
                return Math.pow(function.getValue().applyAsDouble(factor()), power);
            }
        }
        if (text.startsWith("\\", at)) {
            // Greek letters are letters.
            int end = at + 1;
            while (end < text.length() && Character.isLetter(text.charAt(end))) {
                end++;
            }
            String name = text.substring(at + 1, end);
            if (java.util.List.of("alpha", "beta", "theta", "phi", "omega", "lambda", "mu", "varphi")
                    .contains(name)) {
                at = end;
                return letter((char) ('a' + Math.floorMod(name.hashCode(), 97)));
            }
        }
        throw wrong();
    }

    private double number() {
        int begin = at;
        while (at < text.length() && (Character.isDigit(text.charAt(at)) || text.charAt(at) == '.' || isGroup())) {
            at++;
        }
        try {
            return Double.parseDouble(text.substring(begin, at).replace(",", ""));
        } catch (NumberFormatException e) {
            throw wrong();
        }
    }

    /** Whether a comma stands before three digits. */
    private boolean isGroup() {
        return text.charAt(at) == ','
                && text.length() > at + 3
                && text.substring(at + 1, at + 4).chars().allMatch(Character::isDigit)
                && !(text.length() > at + 4 && Character.isDigit(text.charAt(at + 4)));
    }
}
