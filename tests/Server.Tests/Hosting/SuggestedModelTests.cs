using Understory.Server.Hosting;
using Understory.Server.Hub;

namespace Understory.Server.Tests.Hosting;

public sealed class SuggestedModelTests
{
    [Theory]
    [InlineData(1_000_000_000, 0)]
    [InlineData(4_000_000_000, 2)]
    [InlineData(8_000_000_000, 3)]
    [InlineData(64_000_000_000, 3)]
    public void Up_to_three_are_suggested_that_fit_with_room_to_spare(long memory, int count)
    {
        IReadOnlyList<SuggestedModel> models = SuggestedModel.For(memory);
        Assert.Equal(count, models.Count);
        Assert.All(models, model => Assert.True(model.MemoryBytes < memory));
    }

    [Fact]
    public void The_list_goes_from_small_to_large_and_each_can_be_pulled()
    {
        Assert.Equal(SuggestedModel.All.OrderBy(model => model.MemoryBytes), SuggestedModel.All);
        Assert.All(SuggestedModel.All, model =>
        {
            Assert.True(HubReference.TryParse(model.Model, out HubReference reference));
            Assert.Matches("^Q[48]_(0|K_M)$", reference.File);
            // Between 4 and 9 bits a weight, as such files have.
            Assert.InRange(8.0 * model.Bytes / model.Parameters, 4, 9);
            Assert.EndsWith("pull " + model.Model, model.Command);
        });
    }
}
