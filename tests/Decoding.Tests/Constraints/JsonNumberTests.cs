using System.Numerics;
using System.Text.Json;
using Understory.Decoding.Constraints.Json;

namespace Understory.Decoding.Tests.Constraints;

public class JsonNumberTests
{
    [Theory]
    [InlineData("1", "1.0", 0)]
    [InlineData("100", "1e2", 0)]
    [InlineData("-0.0", "0", 0)]
    [InlineData("0.0015", "15E-4", 0)]
    [InlineData("123456789012345678901234567890", "123456789012345678901234567891", -1)]
    [InlineData("-2", "1", -1)]
    [InlineData("-2", "-10", 1)]
    [InlineData("1e999999999999", "9e5", 1)]
    [InlineData("0.1", "0.09", 1)]
    [InlineData("12", "1.2e1", 0)]
    public void Numbers_compare_as_what_they_are(string a, string b, int order)
    {
        Assert.Equal(order, Number(a).CompareTo(Number(b)));
        Assert.Equal(-order, Number(b).CompareTo(Number(a)));
        Assert.Equal(order == 0, Number(a) == Number(b));
    }

    [Theory]
    [InlineData("-12.50", "-12", "5", "-12", "-13")]
    [InlineData("12.50", "12", "5", "13", "12")]
    [InlineData("0.004", "0", "004", "1", "0")]
    [InlineData("3e4", "30000", "", "30000", "30000")]
    [InlineData("1234567890123456789012345678901.5", "1234567890123456789012345678901", "5", "1234567890123456789012345678902",
        "1234567890123456789012345678901")]
    public void Their_digits_are_kept(string text, string whole, string fraction, string ceiling, string floor)
    {
        JsonNumber number = Number(text);
        Assert.Equal((whole, fraction), (number.Whole.ToString(), number.Fraction));
        Assert.Equal((BigInteger.Parse(ceiling), BigInteger.Parse(floor)), (number.Ceiling, number.Floor));
        Assert.Equal(fraction.Length == 0, number.IsInteger);
    }

    private static JsonNumber Number(string text) => JsonNumber.Of(JsonDocument.Parse(text).RootElement);
}
